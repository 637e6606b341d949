//! What the query of a folder's target asks for: `?format=json&sort=size`.

use std::borrow::Cow;

use percent_encoding::percent_decode;

/// What a listing is sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    Name,
    Size,
    Modified,
}

/// In which direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Ascending,
    Descending,
}

/// The form of a listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Html,
    Json,
    Text,
}

/// What is asked of a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Query {
    /// `None` where Accept decides.
    pub(super) format: Option<Format>,
    pub(super) sort: Sort,
    pub(super) order: Order,
    /// Whether the whole folder is asked for, as a tar archive.
    pub(super) is_archive: bool,
}

impl Query {
    /// Reads a query. Names that mean nothing here are ignored; of two parameters of one name the first counts.
    ///
    /// # Errors
    /// A parameter that means something here has a value that means nothing: one line that lists the values.
    pub(super) fn parse(query: Option<&[u8]>) -> Result<Query, &'static str> {
        let format = match value_of(query, b"format").as_deref() {
            None => None,
            Some(b"html") => Some(Format::Html),
            Some(b"json") => Some(Format::Json),
            Some(b"text") => Some(Format::Text),
            Some(_) => return Err("The query's format is one of html, json and text."),
        };
        let sort = match value_of(query, b"sort").as_deref() {
            None | Some(b"name") => Sort::Name,
            Some(b"size") => Sort::Size,
            Some(b"modified") => Sort::Modified,
            Some(_) => return Err("The query's sort is one of name, size and modified."),
        };
        let order = match value_of(query, b"order").as_deref() {
            None | Some(b"asc") => Order::Ascending,
            Some(b"desc") => Order::Descending,
            Some(_) => return Err("The query's order is one of asc and desc."),
        };
        let is_archive = match value_of(query, b"archive").as_deref() {
            None => false,
            Some(b"tar") => true,
            Some(_) => return Err("The query's archive can only be tar."),
        };
        Ok(Query { format, sort, order, is_archive })
    }
}

/// Whether the file is to be saved, and not shown.
pub(super) fn asks_for_download(query: Option<&[u8]>) -> bool {
    value_of(query, b"download").is_some()
}

/// The decoded value of the first parameter of that name; empty where it has none.
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
    fn what_is_not_asked_for_has_a_default() {
        for query in [None, Some(&b""[..]), Some(b"&&"), Some(b"other=1&Format=json"), Some(b"=html")] {
            assert_eq!(Query::parse(query), Ok(DEFAULT));
        }
    }

    #[test]
    fn each_parameter_counts_once_and_decoded() {
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
    fn a_value_that_means_nothing_is_named() {
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
    fn a_download_needs_no_value() {
        assert!(asks_for_download(Some(b"download")) && asks_for_download(Some(b"a=b&download=1")));
        assert!(!asks_for_download(Some(b"downloads")) && !asks_for_download(None));
    }
}
