//! Which part of a list is wanted: `?page=1&per_page=25`.

use super::error::ApiError;

/// Rows of a page unless asked for.
const DEFAULT: u32 = 25;
/// Rows of a page at most; more are clamped.
const MOST: u32 = 100;

/// One page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// From 1.
    pub page: u32,
    /// From 1 to 100.
    pub per_page: u32,
}

impl Page {
    /// Reads a query string.
    ///
    /// # Errors
    ///
    /// 422 where a value is no number from 1.
    pub fn of(query: &str) -> Result<Self, ApiError> {
        let mut page = Self { page: 1, per_page: DEFAULT };
        for pair in query.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let number = || match value.parse::<u32>() {
                Ok(number) if number > 0 => Ok(number),
                _ => Err(ApiError::invalid(name, "must be a number from 1")),
            };
            match name {
                "page" => page.page = number()?,
                "per_page" => page.per_page = number()?.min(MOST),
                _ => {}
            }
        }
        Ok(page)
    }

    /// The part of a list that stands on this page.
    pub fn of_list<T>(self, list: &[T]) -> impl Iterator<Item = &T> {
        let (page, size) = (self.page as usize, self.per_page as usize);
        list.iter().skip((page - 1).saturating_mul(size)).take(size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_clamped_and_numbers() {
        let page = |query| {
            Page::of(query).map(|it| (it.page, it.per_page)).map_err(|it| it.status().as_u16())
        };
        assert_eq!(page(""), Ok((1, 25)));
        assert_eq!(page("page=3&per_page=1000"), Ok((3, 100)));
        assert_eq!(page("page=abc"), Err(422));
        assert_eq!(page("page=0"), Err(422));
        assert_eq!(page("per_page=-1"), Err(422));
    }
}
