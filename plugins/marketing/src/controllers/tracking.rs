//! `/track/{link}`: what e-mails show and lead to. Each link is signed; where one leads stands in a table.

use std::str::FromStr;

use powernode_plugin_api::{operation::Operation, prelude::*};
use serde_json::json;
use uuid::Uuid;

use crate::{
    Marketing,
    models::{Actor, Letter},
    services::tracking,
};

/// What the link of the picture is for.
pub const OPEN: &str = "open";
/// What the other links are for.
pub const CLICK: &str = "click";

/// A picture of one transparent point.
const POINT: &[u8] = b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\x00\x00\x00!\xf9\x04\x01\x00\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;";

/// A picture that nobody sees.
#[derive(Debug)]
pub struct Point;

/// Where a link leads.
#[derive(Debug)]
pub struct Redirect(String);

/// What a link in an e-mail says: which e-mail, and which link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Clicked(Uuid, Uuid);

impl FromStr for Clicked {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (letter, link) = text.split_once('.').ok_or(())?;
        Ok(Self(letter.parse().map_err(drop)?, link.parse().map_err(drop)?))
    }
}

/// The path of the picture that tells that an e-mail was opened.
pub fn pixel(host: &Host, letter: &Letter) -> Result<String> {
    let signed = host.links().sign(OPEN, letter.account_id, &letter.id.to_string(), None)?;
    Ok(format!("/api/v1/{}/track/{signed}/{OPEN}", host.slug()))
}

/// The path of a link that is counted.
pub fn link(host: &Host, letter: &Letter, link: Uuid) -> Result<String> {
    let claim = format!("{}.{}", letter.id.uuid().simple(), link.simple());
    let signed = host.links().sign(CLICK, letter.account_id, &claim, None)?;
    Ok(format!("/api/v1/{}/track/{signed}/{CLICK}", host.slug()))
}

/// `GET /track/{link}/open`.
pub async fn open(call: Call<Marketing>) -> Result<Point> {
    let (actor, id) = (Actor::of(&call)?, call.link()?);
    call.db().transaction(move |conn| tracking::opened(conn, actor, id)).await?;
    Ok(Point)
}

/// `GET /track/{link}/click`.
pub async fn click(call: Call<Marketing>) -> Result<Redirect> {
    let (actor, Clicked(letter, link)) = (Actor::of(&call)?, call.link()?);
    let job = move |conn: &mut _| tracking::clicked(conn, actor, letter.into(), link);
    call.db().transaction(job).await.map(Redirect)
}

impl Answer for Point {
    fn answer(self) -> Result<Response> {
        Ok(Response::new(200)
            .with_header("cache-control", "no-store")
            .with_body("image/gif", POINT))
    }

    fn describe(operation: &mut Operation) {
        let picture = json!({ "type": "string", "format": "binary" });
        operation.other_answers.insert("image/gif".to_owned(), picture);
    }
}

impl Answer for Redirect {
    fn answer(self) -> Result<Response> {
        Ok(Response::new(302)
            .with_header("location", self.0)
            .with_header("cache-control", "no-store")
            .with_header("referrer-policy", "no-referrer"))
    }

    fn describe(operation: &mut Operation) {
        operation.answer::<()>(302);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_click_names_both() {
        let (one, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let text = format!("{}.{}", one.simple(), other.simple());
        assert_eq!(text.parse(), Ok(Clicked(one, other)));
        assert_eq!("1.2".parse::<Clicked>(), Err(()));
    }
}
