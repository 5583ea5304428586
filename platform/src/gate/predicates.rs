//! What core code and extensions ask of the gates, by name.

use super::{Actor, Extension, Gate};

/// The capability whose declarer bills.
const BILLING: &str = "billing";

impl Gate {
    /// Whether this process loaded the extension.
    pub fn extension_loaded(&self, slug: &str) -> bool {
        let snapshot = self.current.load();
        snapshot.find(slug).and_then(|it| snapshot.get(it)).is_some_and(|it| it.loaded.is_ok())
    }

    /// Whether the extension may be called by `actor`: loaded, not disabled, its flag on, neither in quarantine nor
    /// above a dependency that is off.
    pub fn extension_enabled(&self, slug: &str, actor: Option<&Actor>) -> bool {
        let snapshot = self.current.load();
        snapshot.find(slug).is_some_and(|it| snapshot.check(it, actor).is_ok())
    }

    /// Whether `capability` is there for `account`. Only the extension that declares it is asked, through `decide`, and
    /// only while it is enabled for the account. A capability that nobody declares is not there.
    pub fn available(
        &self,
        capability: &str,
        account: Option<&Actor>,
        decide: impl FnOnce(Extension, &str, Option<&Actor>) -> bool,
    ) -> bool {
        // The snapshot is let go before the extension is asked: its code may take its time.
        self.declarer(capability, account).is_some_and(|it| decide(it, capability, account))
    }

    /// The extension that declares `capability`, if it is enabled for `account`.
    pub fn declarer(&self, capability: &str, account: Option<&Actor>) -> Option<Extension> {
        let snapshot = self.current.load();
        snapshot.declarers(capability).find(|it| snapshot.check(*it, account).is_ok())
    }

    /// Whether an enabled extension declares `capability`; it is not asked what it grants to whom.
    pub fn capability_present(&self, capability: &str) -> bool {
        self.declarer(capability, None).is_some()
    }

    /// Whether the extension `business` is loaded.
    pub fn business_loaded(&self) -> bool {
        self.extension_loaded("business")
    }

    /// Whether no extension is loaded.
    pub fn core_mode(&self) -> bool {
        self.current.load().installed().iter().all(|it| it.loaded.is_err())
    }

    /// Whether an extension that bills, which is one that declares the capability `billing`, is enabled for somebody.
    pub fn billing_enabled(&self) -> bool {
        self.declarer(BILLING, None).is_some()
    }

    /// The extensions that this process loaded, by slug, in their order.
    pub fn loaded(&self) -> Vec<String> {
        let snapshot = self.current.load();
        snapshot
            .installed()
            .iter()
            .filter(|it| it.loaded.is_ok())
            .map(|it| it.slug.clone())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::super::tests::{account, flag, installed};
    use super::super::{Edit, FlagSet, Groups, Installed};
    use super::*;

    /// `business` with the capabilities `billing` and `baas`, changed by `change`, its flag by `edit`.
    #[track_caller]
    fn check(change: impl FnOnce(&mut Installed), edit: &Edit, outcome: Expect) {
        let mut it = installed("business", &[]);
        it.capabilities = vec!["billing".into(), "baas".into()];
        change(&mut it);
        let gate = Gate::new(Groups::standard());
        gate.install(vec![it]);
        gate.publish(FlagSet::new(1, [flag("business_mode", edit)]));
        let one = account(1);
        let holds = [
            ("extension_loaded", gate.extension_loaded("business")),
            ("extension_enabled", gate.extension_enabled("business", None)),
            ("extension_enabled for 1", gate.extension_enabled("business", Some(&one))),
            ("available baas", gate.available("baas", None, |_, _, _| true)),
            ("available baas for 1", gate.available("baas", Some(&one), |_, _, _| true)),
            ("available, declined", gate.available("baas", None, |_, _, _| false)),
            ("available, unknown", gate.available("campaigns", None, |_, _, _| true)),
            ("capability_present", gate.capability_present("baas")),
            ("business_loaded", gate.business_loaded()),
            ("core_mode", gate.core_mode()),
            ("billing_enabled", gate.billing_enabled()),
        ];
        let true_ones: Vec<_> =
            holds.iter().filter(|(_, holds)| *holds).map(|(name, _)| *name).collect();
        outcome.assert_eq(&true_ones.join(", "));
    }

    #[test]
    fn on() {
        check(
            |_| (),
            &Edit::Enable,
            expect![
                "extension_loaded, extension_enabled, extension_enabled for 1, available baas, available baas for 1, capability_present, business_loaded, billing_enabled"
            ],
        );
    }

    #[test]
    fn loaded_and_off() {
        check(|_| (), &Edit::Disable, expect!["extension_loaded, business_loaded"]);
    }

    #[test]
    fn on_for_another() {
        check(
            |_| (),
            &Edit::EnableActor("Account;2".parse().unwrap()),
            expect![
                "extension_loaded, extension_enabled, available baas, capability_present, business_loaded, billing_enabled"
            ],
        );
    }

    #[test]
    fn in_quarantine() {
        check(
            |it| it.quarantined = Some("5 panics".into()),
            &Edit::Enable,
            expect!["extension_loaded, business_loaded"],
        );
    }

    #[test]
    fn not_loaded() {
        check(|it| it.loaded = Err("truncated".into()), &Edit::Enable, expect!["core_mode"]);
    }

    #[test]
    fn disabled_by_the_state_file() {
        let off = |it: &mut Installed| {
            it.state_disabled = true;
            it.loaded = Err("disabled".into());
        };
        check(off, &Edit::Enable, expect!["core_mode"]);
    }

    #[test]
    fn with_no_extensions_everything_is_off_and_nobody_is_asked() {
        let gate = Gate::new(Groups::standard());
        gate.publish(FlagSet::default());
        assert!(gate.core_mode());
        assert!(
            !gate.business_loaded()
                && !gate.billing_enabled()
                && !gate.extension_loaded("business")
        );
        assert!(!gate.available("baas", None, |_, _, _| panic!("nobody declares it")));
    }

    #[test]
    fn only_the_declarer_is_asked() {
        let gate = Gate::new(Groups::standard());
        let with = |slug: &str, capability: &str| Installed {
            capabilities: vec![capability.to_owned()],
            ..installed(slug, &[])
        };
        gate.install(vec![with("fleet", "vehicles"), with("marketing", "campaigns")]);
        gate.publish(FlagSet::new(
            1,
            [flag("fleet_mode", &Edit::Enable), flag("marketing_mode", &Edit::Enable)],
        ));
        assert!(gate.available("campaigns", None, |it, _, _| Some(it) == gate.find("marketing")));
    }
}
