//! Many subscribers at once.

use anyhow::Result;
use serde_json::{Value, json};

use crate::{BASE, Marketing, on_both, text};

#[test]
fn an_import_takes_what_is_valid_and_names_the_rest() -> Result<()> {
    on_both(|instance| {
        let it = Marketing(instance.operator());
        let list = it.list("News");
        it.subscriber(&list, "ann@example.com");
        let rows = json!([
            { "email": "bob@example.com", "first_name": "Bob", "tags": ["vip"] },
            { "email": "BOB@example.com" },
            { "email": "ann@example.com" },
            { "email": "nobody" },
            { "mail": "eve@example.com" },
        ]);
        let import = format!("POST {list}/import");
        let imported = it.ok(&import, json!({ "subscribers": rows }));
        assert_eq!((&imported["imported"], &imported["skipped"]), (&json!(1), &json!(2)));
        let wrong =
            json!({ "index": 3, "email": "nobody", "message": "email: must be an e-mail address" });
        assert_eq!(imported["errors"][0], wrong);
        assert_eq!(imported["errors"][1]["index"], json!(4));
        let found = it.get(&format!("{list}/subscribers?search=BOB"));
        assert_eq!((text(&found[0]["first_name"]), text(&found[0]["source"])), ("Bob", "import"));

        let row = |number: usize| json!({ "email": format!("reader{number}@example.com") });
        let many: Vec<_> = (0..1_001).map(row).collect();
        it.refused(&import, json!({ "subscribers": many }), "422 subscribers: must be 1 to 1000");
        let most = it.ok(&import, json!({ "subscribers": many[..1_000] }));
        assert_eq!(most["imported"], json!(1_000));
        let page = it.send(&format!("GET {list}/subscribers?per_page=500"), &Value::Null).json();
        assert_eq!(page["meta"]["pagination"]["total_count"], json!(1_002));
        assert_eq!(page["data"].as_array().map(Vec::len), Some(100));
        Ok(())
    })
}

#[test]
fn a_text_of_csv_is_imported_line_by_line() -> Result<()> {
    on_both(|instance| {
        let it = Marketing(instance.operator());
        let list = it.list("News");
        let import = |text: &str| {
            let path = format!("{BASE}/{list}/import");
            let csv = [("content-type", "text/csv; charset=utf-8")];
            it.0.send("POST", &path, &csv, text.as_bytes().to_vec())
        };
        let text = "email,first_name,tags,custom_fields.town\n\
                    ann@example.com,Ann,vip; old,\"Ems, Bad\"\n\
                    nobody,,,\n\
                    ben@example.com\n\
                    ANN@example.com,,,\n";
        let imported = import(text)?.data();
        assert_eq!((&imported["imported"], &imported["skipped"]), (&json!(1), &json!(1)));
        let wrong = json!([
            {
                "index": 1, "line": 3, "email": "nobody",
                "message": "email: must be an e-mail address",
            },
            {
                "index": 2, "line": 4, "email": null,
                "message": "has 1 fields, and the first line has 4",
            },
        ]);
        assert_eq!(imported["errors"], wrong);
        let ann = &it.get(&format!("{list}/subscribers"))[0];
        assert_eq!((text_of(ann, "email"), text_of(ann, "first_name")), ("ann@example.com", "Ann"));
        assert_eq!(ann["tags"], json!(["vip", "old"]));
        assert_eq!(ann["custom_fields"], json!({ "town": "Ems, Bad" }));

        let unknown = import("email,town\nann@example.com,Ems\n")?;
        assert_eq!(
            (unknown.status, unknown.json()["errors"][0]["field"].clone()),
            (422, json!("town"))
        );
        let many = format!("email\n{}", "ann@example.com\n".repeat(1_001));
        assert_eq!(import(&many)?.failure(), "422 VALIDATION_FAILED");
        Ok(())
    })
}

fn text_of<'a>(row: &'a Value, name: &str) -> &'a str {
    text(&row[name])
}
