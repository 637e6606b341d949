//! The heads of the columns, and the links in them.

use std::io::Write as _;

use super::PageHead;
use super::text::put;
use crate::routes::folder::query::{Order, Sort};

/// Writes the heads of the columns. They are links that sort the rows, if the rows are sorted at all.
pub(super) fn write_columns(out: &mut Vec<u8>, head: &PageHead<'_>) {
    put(out, "<thead><tr>");
    for (sort, class, title) in
        [(Sort::Name, "n", "Name"), (Sort::Size, "s", "Size"), (Sort::Modified, "t", "Modified")]
    {
        let is_active = head.is_sorted && head.sort == sort;
        put(out, "<th scope=\"col\" class=\"");
        put(out, class);
        put(
            out,
            match (is_active, head.order) {
                (false, _) => "\">",
                (true, Order::Ascending) => "\" aria-sort=\"ascending\">",
                (true, Order::Descending) => "\" aria-sort=\"descending\">",
            },
        );
        if head.is_sorted {
            let (key, order) = column_query(sort, is_active.then_some(head.order));
            let _ = write!(out, "<a href=\"?sort={key}&amp;order={order}\">{title}</a>");
        } else {
            put(out, title);
        }
        if sort == Sort::Modified {
            put(out, "<span id=\"zone\"> (UTC)</span>");
        }
        put(out, "</th>");
    }
    put(out, "<th scope=\"col\" class=\"g\"><span class=\"v\">Download</span></th></tr></thead>\n");
}

/// The values of `sort` and `order` in a column's link. They reverse the order if the rows are sorted by this column.
/// Otherwise the largest or latest entries come first, since people look for these most often.
fn column_query(sort: Sort, active: Option<Order>) -> (&'static str, &'static str) {
    let (key, first) = match sort {
        Sort::Name => ("name", Order::Ascending),
        Sort::Size => ("size", Order::Descending),
        Sort::Modified => ("modified", Order::Descending),
    };
    let order = match active {
        None => first,
        Some(Order::Ascending) => Order::Descending,
        Some(Order::Descending) => Order::Ascending,
    };
    match order {
        Order::Ascending => (key, "asc"),
        Order::Descending => (key, "desc"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::assets::STYLE;
    use super::super::tests::{HEAD, head};
    use super::*;

    #[test]
    fn the_columns_link_to_their_sort_order() {
        let page = head(&PageHead { sort: Sort::Size, order: Order::Descending, ..HEAD });
        assert!(page.contains("<th scope=\"col\" class=\"n\"><a href=\"?sort=name&amp;order=asc\">Name</a>"), "{page}");
        assert!(
            page.contains("class=\"s\" aria-sort=\"descending\"><a href=\"?sort=size&amp;order=asc\">Size</a>"),
            "{page}"
        );
        assert!(page.contains("class=\"t\"><a href=\"?sort=modified&amp;order=desc\">Modified</a>"), "{page}");
        assert_eq!(page.matches("aria-sort=").count(), 1 + STYLE.matches("aria-sort=").count());
    }
}
