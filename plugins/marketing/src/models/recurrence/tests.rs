use super::*;

/// The first and the last three days, and how many there are: as python-dateutil has them.
#[track_caller]
fn check(rule: &str, from: &str, to: &str, count: usize, expected: &str) {
    let (start, rule) = rule.split_once(' ').unwrap();
    let day = |text: &str| text.parse::<NaiveDate>().unwrap();
    let rule = rule.parse::<Rule>().unwrap();
    let days = rule.days(day(start), day(from), day(to));
    let days: Vec<_> = days.map(|it| it.to_string()).collect();
    let ends = days.iter().enumerate().filter(|(at, _)| *at < 3 || at + 3 >= days.len());
    let ends: Vec<_> = ends.map(|(_, it)| it.as_str()).collect();
    assert_eq!((days.len(), ends.join(" ")), (count, expected.to_owned()), "{rule:?}");
}

#[test]
fn days_are_those_of_the_standard() {
    check(
        "2027-01-31 FREQ=MONTHLY",
        "2027-01-01",
        "2027-12-31",
        7,
        "2027-01-31 2027-03-31 2027-05-31 2027-08-31 2027-10-31 2027-12-31",
    );
    check(
        "2027-01-04 FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,TH",
        "2027-01-01",
        "2027-12-31",
        52,
        "2027-01-04 2027-01-07 2027-01-18 2027-12-09 2027-12-20 2027-12-23",
    );
    check(
        "2027-01-06 FREQ=WEEKLY;BYDAY=MO,FR;COUNT=5",
        "2027-01-01",
        "2027-12-31",
        5,
        "2027-01-08 2027-01-11 2027-01-15 2027-01-18 2027-01-22",
    );
    check(
        "2027-01-01 FREQ=MONTHLY;BYDAY=2TU,-1FR;COUNT=6",
        "2027-01-01",
        "2027-12-31",
        6,
        "2027-01-12 2027-01-29 2027-02-09 2027-02-26 2027-03-09 2027-03-26",
    );
    check(
        "2027-01-01 FREQ=MONTHLY;BYMONTHDAY=-1,15;UNTIL=20270401",
        "2027-01-01",
        "2027-12-31",
        6,
        "2027-01-15 2027-01-31 2027-02-15 2027-02-28 2027-03-15 2027-03-31",
    );
    check(
        "2024-02-29 FREQ=YEARLY;COUNT=3",
        "2024-01-01",
        "2040-12-31",
        3,
        "2024-02-29 2028-02-29 2032-02-29",
    );
    check(
        "2027-01-01 FREQ=DAILY;INTERVAL=45",
        "2027-01-01",
        "2027-12-31",
        9,
        "2027-01-01 2027-02-15 2027-04-01 2027-09-28 2027-11-12 2027-12-27",
    );
    check(
        "2020-03-15 FREQ=DAILY;INTERVAL=3",
        "2027-01-01",
        "2027-12-31",
        122,
        "2027-01-02 2027-01-05 2027-01-08 2027-12-25 2027-12-28 2027-12-31",
    );
    check(
        "2020-03-15 FREQ=WEEKLY;INTERVAL=3",
        "2027-01-01",
        "2027-12-31",
        17,
        "2027-01-17 2027-02-07 2027-02-28 2027-11-07 2027-11-28 2027-12-19",
    );
    check(
        "2019-12-31 FREQ=MONTHLY;INTERVAL=5;BYMONTHDAY=31",
        "2027-01-01",
        "2027-12-31",
        1,
        "2027-01-31",
    );
    check(
        "2027-01-05 FREQ=MONTHLY;BYDAY=5MO",
        "2027-01-01",
        "2027-12-31",
        4,
        "2027-03-29 2027-05-31 2027-08-30 2027-11-29",
    );
    check(
        "2026-12-30 FREQ=WEEKLY;INTERVAL=2;BYDAY=SU,MO",
        "2027-01-01",
        "2027-12-31",
        52,
        "2027-01-03 2027-01-11 2027-01-17 2027-12-13 2027-12-19 2027-12-27",
    );
    check(
        "2015-07-10 FREQ=YEARLY;INTERVAL=4",
        "2024-01-01",
        "2040-12-31",
        4,
        "2027-07-10 2031-07-10 2035-07-10 2039-07-10",
    );
    check(
        "2027-05-05 FREQ=MONTHLY;BYDAY=MO;COUNT=7",
        "2027-01-01",
        "2027-12-31",
        7,
        "2027-05-10 2027-05-17 2027-05-24 2027-06-07 2027-06-14 2027-06-21",
    );
}

#[track_caller]
fn refused(rule: &str, expected: &str) {
    let start = "2027-02-01".parse().unwrap();
    let found = rule.parse::<Rule>().and_then(|it| it.last(start));
    assert_eq!(found.unwrap_err().to_string(), expected, "{rule}");
}

#[test]
fn what_is_no_rule_is_named() {
    refused("", "must have a FREQ");
    refused("FREQ=HOURLY", "FREQ must be DAILY, WEEKLY, MONTHLY or YEARLY");
    refused("FREQ=DAILY;INTERVAL=0", "INTERVAL must be a number from 1 to 1000");
    refused("FREQ=DAILY;COUNT=99999999999", "COUNT must be a number from 1 to 1000");
    refused("FREQ=DAILY;COUNT=2;UNTIL=20270301", "COUNT and UNTIL do not go together");
    refused("FREQ=DAILY;UNTIL=soon", "UNTIL must be a day such as 20270131");
    refused("FREQ=DAILY;UNTIL=20270131", "has no day on which it happens");
    refused("FREQ=WEEKLY;BYDAY=2MO", "a day with a number goes with FREQ=MONTHLY alone");
    refused("FREQ=WEEKLY;BYDAY=é", "BYDAY must be days such as MO,2TU,-1FR");
    refused("FREQ=DAILY;FREQ=DAILY", "names FREQ twice");
    refused("FREQ=MONTHLY;INTERVAL=12;BYMONTHDAY=31", "has no day on which it happens");
    refused(
        "FREQ=DAILY;BYHOUR=9",
        "BYHOUR is unknown here; FREQ, INTERVAL, COUNT, UNTIL, BYDAY and BYMONTHDAY are not",
    );
}
