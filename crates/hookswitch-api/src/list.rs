//! Lists as the vendor's clients read them: records by the page, with the addresses of other pages.

use std::fmt::Write as _;

use serde::Serialize;
use utoipa::ToSchema;

use super::Problem;

/// The most records of a page, which is also what `perPage=MAX` gives.
pub(super) const PER_PAGE_MAX: usize = 1000;

/// Number of records that a page has when none are asked for.
const PER_PAGE: usize = 100;

/// The highest page that can be asked for.
const PAGE_MAX: usize = 1_000_000;

/// The part of a list that a query asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PageQuery {
    /// Counts from 1.
    page: usize,
    per_page: usize,
    /// The other parameters, which the addresses of other pages have too.
    others: Vec<(String, String)>,
}

/// A page of a list.
#[derive(Serialize, ToSchema)]
pub(super) struct List<T> {
    /// The address of the page.
    uri: String,
    records: Vec<T>,
    navigation: Navigation,
    paging: Paging,
}

/// The addresses of other pages.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "the names are those of the wire")]
struct Navigation {
    first_page: PageRef,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_page: Option<PageRef>,
    #[serde(skip_serializing_if = "Option::is_none")]
    previous_page: Option<PageRef>,
    /// Last page, where the total is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_page: Option<PageRef>,
}

/// The address of a page.
#[derive(Serialize, ToSchema)]
struct PageRef {
    uri: String,
}

/// Page of a list, and the total.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Paging {
    /// From 1.
    page: usize,
    per_page: usize,
    /// The first record of the page, from 0; absent from a page without records.
    #[serde(skip_serializing_if = "Option::is_none")]
    page_start: Option<usize>,
    /// The last.
    #[serde(skip_serializing_if = "Option::is_none")]
    page_end: Option<usize>,
    /// At least 1; absent where it is not known how many there are.
    #[serde(skip_serializing_if = "Option::is_none")]
    total_pages: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    total_elements: Option<usize>,
}

impl PageQuery {
    /// Reads `page` and `perPage`; other parameters are kept.
    ///
    /// # Errors
    /// Names the parameter that is no number, or out of range.
    pub(super) fn read(query: Option<&str>) -> Result<Self, Problem> {
        let mut read = Self { page: 1, per_page: PER_PAGE, others: Vec::new() };
        for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            match &*name {
                "page" => read.page = number("page", &value, PAGE_MAX)?,
                "perPage" if value.eq_ignore_ascii_case("MAX") => read.per_page = PER_PAGE_MAX,
                "perPage" => read.per_page = number("perPage", &value, PER_PAGE_MAX)?,
                _ => read.others.push((name.into_owned(), value.into_owned())),
            }
        }
        Ok(read)
    }

    /// Returns how many records stand before the page.
    pub(super) const fn skipped(&self) -> usize {
        (self.page - 1) * self.per_page
    }

    /// Returns the number of records that the page has at most.
    pub(super) const fn per_page(&self) -> usize {
        self.per_page
    }

    /// The values of another parameter, in their order.
    pub(super) fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.others.iter().filter(move |(known, _)| known == name).map(|(_, value)| &**value)
    }

    /// The value of another parameter; of several the last.
    pub(super) fn value<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        self.values(name).last()
    }

    /// Checks that another parameter has these values alone, in whatever case: with one that nothing can have, a list
    /// would be empty, as if there were nothing.
    ///
    /// # Errors
    /// Names the parameter and what it may be.
    pub(super) fn check_values(&self, field: &'static str, known: [&str; 2]) -> Result<(), Problem> {
        let is_known = |value: &str| known.iter().any(|one| one.eq_ignore_ascii_case(value));
        match self.values(field).find(|value| !is_known(value)) {
            None => Ok(()),
            Some(value) => {
                let [one, other] = known;
                let message = format!("{field} must be {one} or {other}; it may come several times");
                Err(Problem::field(field, message).about(field, value))
            }
        }
    }

    /// Returns `true` if a parameter says `true`.
    pub(super) fn flag(&self, name: &str) -> bool {
        self.value(name).is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    /// The page of all records, `of` being the address of the list.
    pub(super) fn page_of<T>(&self, of: &str, all: Vec<T>) -> List<T> {
        let total = all.len();
        let records = all.into_iter().skip(self.skipped()).take(self.per_page).collect();
        self.list(of, records, total)
    }

    /// The page with these records, of so many in all.
    pub(super) fn list<T>(&self, of: &str, records: Vec<T>, total_elements: usize) -> List<T> {
        let total_pages = total_elements.div_ceil(self.per_page).max(1);
        self.build(of, records, self.page < total_pages, Some((total_pages, total_elements)))
    }

    /// The page with these records, of a list of which it is known alone whether there are more.
    pub(super) fn list_so_far<T>(&self, of: &str, records: Vec<T>, has_more: bool) -> List<T> {
        self.build(of, records, has_more, None)
    }

    fn build<T>(&self, of: &str, records: Vec<T>, has_more: bool, total: Option<(usize, usize)>) -> List<T> {
        let total_pages = total.map(|(pages, _)| pages);
        let uri = |page: usize| {
            let mut uri = format!("{of}?page={page}&perPage={}", self.per_page);
            let mut others = form_urlencoded::Serializer::new(String::new());
            let others = others.extend_pairs(&self.others).finish();
            if !others.is_empty() {
                write!(uri, "&{others}").ok(); // writing to memory does not fail
            }
            uri
        };
        let reference = |page: usize| PageRef { uri: uri(page) };
        let last = records.len().checked_sub(1).map(|last| self.skipped() + last);
        List {
            uri: uri(self.page),
            navigation: Navigation {
                first_page: reference(1),
                next_page: has_more.then(|| reference(self.page + 1)),
                previous_page: (self.page > 1)
                    .then(|| reference((self.page - 1).min(total_pages.unwrap_or(PAGE_MAX)))),
                last_page: total_pages.map(reference),
            },
            paging: Paging {
                page: self.page,
                per_page: self.per_page,
                page_start: last.map(|_| self.skipped()),
                page_end: last,
                total_pages,
                total_elements: total.map(|(_, elements)| elements),
            },
            records,
        }
    }
}

fn number(field: &'static str, value: &str, max: usize) -> Result<usize, Problem> {
    value.parse().ok().filter(|number| (1..=max).contains(number)).ok_or_else(|| {
        let or_max = if max == PER_PAGE_MAX { ", or MAX" } else { "" };
        Problem::field(field, format!("{field} must be a number from 1 to {max}{or_max}")).about(field, value)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn page(query: &str, count: u32) -> Value {
        let read = PageQuery::read(Some(query)).expect(query);
        serde_json::to_value(read.page_of("/list", (0..count).collect())).expect("JSON")
    }

    #[test]
    fn a_page_names_its_neighbours_and_keeps_the_other_parameters() {
        let middle = page("perPage=2&type=User&page=2&type=Department", 5);
        let uri = |page: u32| format!("/list?page={page}&perPage=2&type=User&type=Department");
        assert_eq!(middle["records"], json!([2, 3]));
        assert_eq!(middle["uri"], uri(2));
        assert_eq!(
            middle["navigation"],
            json!({"firstPage": {"uri": uri(1)}, "nextPage": {"uri": uri(3)},
                "previousPage": {"uri": uri(1)}, "lastPage": {"uri": uri(3)}})
        );
        let paging = json!({"page": 2, "perPage": 2, "pageStart": 2, "pageEnd": 3, "totalPages": 3, "totalElements": 5});
        assert_eq!(middle["paging"], paging);
        let last = page("perPage=2&page=3", 5);
        assert_eq!((&last["records"], &last["paging"]["pageEnd"]), (&json!([4]), &json!(4)));
        assert_eq!(last["navigation"].get("nextPage"), None);
    }

    #[test]
    fn a_list_without_records_has_one_page_and_a_page_behind_the_last_has_none() {
        let empty = page("", 0);
        assert_eq!(empty["paging"], json!({"page": 1, "perPage": 100, "totalPages": 1, "totalElements": 0}));
        assert_eq!((&empty["records"], empty["navigation"].get("previousPage")), (&json!([]), None));
        let behind = page("page=9&perPage=2", 3);
        assert_eq!((&behind["records"], &behind["paging"]["totalPages"]), (&json!([]), &json!(2)));
        assert_eq!(behind["navigation"]["previousPage"]["uri"], "/list?page=2&perPage=2");
    }

    #[test]
    fn a_value_that_nothing_can_have_is_refused_by_name_and_not_answered_with_an_empty_list() {
        let check = |query| {
            PageQuery::read(Some(query)).expect(query).check_values("direction", ["Inbound", "Outbound"])
        };
        for query in ["", "type=x", "direction=Inbound", "direction=inbound&direction=OUTBOUND"] {
            assert!(check(query).is_ok(), "{query}");
        }
        for (query, value) in
            [("direction=In", "In"), ("direction=Inbound&direction=all", "all"), ("direction=", "")]
        {
            let problem = check(query).expect_err(query);
            let body: Value = serde_json::from_str(&problem.body()).expect("JSON");
            let error = &body["errors"][0];
            assert_eq!((&body["errorCode"], problem.status()), (&json!("CMN-101"), 400), "{query}");
            assert_eq!(error["parameterName"], "direction", "{query}");
            assert_eq!(error["parameterValue"].as_str().unwrap_or_default(), value, "{query}");
        }
    }

    #[test]
    fn max_gives_the_longest_page_and_what_is_no_number_is_refused_by_name() {
        assert_eq!(page("perPage=MAX", 3)["paging"]["perPage"], 1000);
        for (query, name) in
            [("page=0", "page"), ("page=x", "page"), ("perPage=1001", "perPage"), ("perPage=-1", "perPage")]
        {
            let problem = PageQuery::read(Some(query)).expect_err(query);
            let body: Value = serde_json::from_str(&problem.body()).expect("JSON");
            assert_eq!((&body["parameterName"], problem.status()), (&json!(name), 400), "{query}");
        }
    }
}
