//! Marketing.
#![forbid(unsafe_code)]
use powernode_plugin_api::prelude::*;

struct Marketing;

impl Extension for Marketing {
    fn new(_: &Host) -> Result<Self> {
        Ok(Self)
    }

    fn routes(routes: &mut Routes<Self>) {
        routes.get("ping", ping).public();
    }
}

async fn ping(_: Call<Marketing>) -> Result<Json<&'static str>> {
    Ok(Json("pong"))
}

export_extension!(Marketing, slug = "marketing");
