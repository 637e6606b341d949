//! The parameters in the query of a directory's target: `?format=json&sort=size`.

use std::borrow::Cow;

use percent_encoding::percent_decode;

/// What a listing is sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    Name,
    Size,
    Modified,
}

/// The direction of sorting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Ascending,
    Descending,
}

/// The format of a listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Html,
    Json,
    Text,
}

/// The query of a request for a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Query {
    /// `None` if the Accept field decides.
    pub(super) format: Option<Format>,
    pub(super) sort: Sort,
    pub(super) order: Order,
    /// Whether the client asks for a tar archive of the directory.
    pub(super) is_archive: bool,
}

impl Query {
    /// Parses a query. Unknown parameters are ignored. Of several parameters of the same name, the first counts.
    ///
    /// # Errors
    /// A known parameter has an unknown value. The error is one line that lists the known values.
    pub(super) fn parse(query: Option<&[u8]>) -> Result<Query, &'static str> {
        let format = match value_of(query, b"format").as_deref() {
            None => None,
            Some(b"html") => Some(Format::Html),
            Some(b"json") => Some(Format::Json),
            Some(b"text") => Some(Format::Text),
            Some(_) => return Err("The query's format must be html, json or text."),
        };
        let sort = match value_of(query, b"sort").as_deref() {
            None | Some(b"name") => Sort::Name,
            Some(b"size") => Sort::Size,
            Some(b"modified") => Sort::Modified,
            Some(_) => return Err("The query's sort must be name, size or modified."),
        };
        let order = match value_of(query, b"order").as_deref() {
            None | Some(b"asc") => Order::Ascending,
            Some(b"desc") => Order::Descending,
            Some(_) => return Err("The query's order must be asc or desc."),
        };
        let is_archive = match value_of(query, b"archive").as_deref() {
            None => false,
            Some(b"tar") => true,
            Some(_) => return Err("The query's archive must be tar."),
        };
        Ok(Query { format, sort, order, is_archive })
    }
}

/// Whether the query of a file's target asks the browser to save the file (`?download`).
pub(super) fn asks_for_download(query: Option<&[u8]>) -> bool {
    value_of(query, b"download").is_some()
}

/// Where to go after signing in, if the query asks for that (`?sign-in=PATH`): a decoded path, which may be empty.
pub(super) fn sign_in(query: Option<&[u8]>) -> Option<Cow<'_, [u8]>> {
    value_of(query, b"sign-in")
}

/// The decoded value of the first parameter of this name; empty if the parameter has no value.
fn value_of<'a>(query: Option<&'a [u8]>, name: &[u8]) -> Option<Cow<'a, [u8]>> {
    query?.split(|byte| *byte == b'&').find_map(|parameter| {
        let (key, value) = match memchr::memchr(b'=', parameter) {
            Some(equals) => (&parameter[..equals], &parameter[equals + 1..]),
            None => (parameter, &[][..]),
        };
        (Cow::<[u8]>::from(percent_decode(key)).as_ref() == name).then(|| percent_decode(value).into())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEFAULT: Query = Query { format: None, sort: Sort::Name, order: Order::Ascending, is_archive: false };

    #[test]
    fn a_missing_parameter_has_a_default() {
        for query in [None, Some(&b""[..]), Some(b"&&"), Some(b"other=1&Format=json"), Some(b"=html")] {
            assert_eq!(Query::parse(query), Ok(DEFAULT));
        }
    }

    #[test]
    fn parameters_are_decoded_and_the_first_of_a_name_counts() {
        let parse = |query: &'static str| Query::parse(Some(query.as_bytes())).unwrap();
        assert_eq!(parse("format=json"), Query { format: Some(Format::Json), ..DEFAULT });
        assert_eq!(parse("format=%6a%73on&format=bad"), Query { format: Some(Format::Json), ..DEFAULT });
        assert_eq!(
            parse("order=desc&x&sort=modified"),
            Query { sort: Sort::Modified, order: Order::Descending, ..DEFAULT }
        );
        assert_eq!(parse("archive=tar"), Query { is_archive: true, ..DEFAULT });
    }

    #[test]
    fn the_error_about_an_unknown_value_names_the_parameter() {
        for (query, named) in [
            ("format=", "format"),
            ("format=xml", "format"),
            ("sort=date", "sort"),
            ("order=up", "order"),
            ("archive=zip", "archive"),
        ] {
            assert!(Query::parse(Some(query.as_bytes())).unwrap_err().contains(named), "{query}");
        }
    }

    #[test]
    fn download_needs_no_value() {
        assert!(asks_for_download(Some(b"download")) && asks_for_download(Some(b"a=b&download=1")));
        assert!(!asks_for_download(Some(b"downloads")) && !asks_for_download(None));
    }
}
