//! The five routes of a table: list, show, create, update, delete.

use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    answer::{Created, Json, NoContent, Paged},
    error::Result,
    extract::{Body, Page, Path, Query},
    request::Call,
    routes::Routes,
};

/// Rows that clients list, read, create, change and delete.
///
/// [`Routes::resources`] mounts them:
///
/// | | |
/// |---|---|
/// | `GET <name>` | [`Resource::list`] |
/// | `POST <name>` | [`Resource::create`] |
/// | `GET <name>/{id}` | [`Resource::show`] |
/// | `PATCH <name>/{id}`, `PUT <name>/{id}` | [`Resource::update`] |
/// | `DELETE <name>/{id}` | [`Resource::delete`] |
pub trait Resource: 'static {
    /// The extension that it belongs to.
    type Extension: Send + Sync + 'static;
    /// Names a row in the path: `Id<Campaign>`, or a bare `Uuid`.
    type Id: FromStr + 'static;
    /// What a list may be narrowed by, in the query; [`NoFilter`] where there is nothing.
    type Filter: DeserializeOwned + JsonSchema + 'static;
    /// What clients read.
    type Row: Serialize + JsonSchema + 'static;
    /// What clients send to create one.
    type New: DeserializeOwned + JsonSchema + 'static;
    /// What clients send to change one.
    type Change: DeserializeOwned + JsonSchema + 'static;

    /// Its name in the path: `campaigns`.
    const NAME: &'static str;
    /// The permission to read.
    const READ: &'static str;
    /// The permission to create, change and delete.
    const MANAGE: &'static str;

    /// One page of the account's rows.
    fn list(
        call: Call<Self::Extension>,
        filter: Self::Filter,
        page: Page,
    ) -> impl Future<Output = Result<Paged<Self::Row>>>;

    /// One row.
    fn show(call: Call<Self::Extension>, id: Self::Id) -> impl Future<Output = Result<Self::Row>>;

    /// Creates a row.
    fn create(
        call: Call<Self::Extension>,
        new: Self::New,
    ) -> impl Future<Output = Result<Self::Row>>;

    /// Changes a row.
    fn update(
        call: Call<Self::Extension>,
        id: Self::Id,
        change: Self::Change,
    ) -> impl Future<Output = Result<Self::Row>>;

    /// Deletes a row.
    fn delete(call: Call<Self::Extension>, id: Self::Id) -> impl Future<Output = Result<()>>;
}

/// The filter of a list that knows none.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
pub struct NoFilter {}

impl<E: Send + Sync + 'static> Routes<E> {
    /// Mounts the routes of a resource.
    pub fn resources<R: Resource<Extension = E>>(&mut self) {
        let name = R::NAME;
        let one = format!("{name}/{{id}}");
        self.get(name, async |call: Call<E>, Query(filter): Query<R::Filter>, page: Page| {
            R::list(call, filter, page).await
        })
        .permission(R::READ)
        .summary(&format!("List {name}"));
        self.post(name, async |call: Call<E>, Body(new): Body<R::New>| {
            R::create(call, new).await.map(Created)
        })
        .permission(R::MANAGE)
        .summary(&format!("Create one of {name}"));
        self.get(&one, async |call: Call<E>, Path(id): Path<R::Id>| {
            R::show(call, id).await.map(Json)
        })
        .permission(R::READ)
        .summary(&format!("Show one of {name}"));
        self.patch(&one, update::<R>)
            .permission(R::MANAGE)
            .summary(&format!("Change one of {name}"));
        self.put(&one, update::<R>).permission(R::MANAGE).summary(&format!("Change one of {name}"));
        self.delete(&one, async |call: Call<E>, Path(id): Path<R::Id>| {
            R::delete(call, id).await.map(|()| NoContent)
        })
        .permission(R::MANAGE)
        .summary(&format!("Delete one of {name}"));
    }
}

async fn update<R: Resource>(
    call: Call<R::Extension>,
    Path(id): Path<R::Id>,
    Body(change): Body<R::Change>,
) -> Result<Json<R::Row>> {
    R::update(call, id, change).await.map(Json)
}
