//! `payments`: taking money, and giving it back.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Ask, contract::contract};
use crate::error::Result;

/// An amount of money.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Money {
    /// In the currency's smallest unit: cents.
    pub minor: i64,
    /// ISO 4217: `EUR`.
    pub currency: String,
}

/// Money that is to be taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Charge {
    /// The account that is charged.
    pub account_id: Uuid,
    /// How much.
    pub amount: Money,
    /// The same for the same charge: one that comes twice is taken once.
    pub key: String,
    /// What for, for the payer.
    pub description: String,
    /// Whose money, in the provider's words; none is what the account has on file.
    #[serde(default)]
    pub method: Option<String>,
}

/// Money that is to be given back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refund {
    /// The payment's id.
    pub payment: String,
    /// How much; none is all of it.
    #[serde(default)]
    pub amount: Option<Money>,
    /// The same for the same refund.
    pub key: String,
    /// Why.
    #[serde(default)]
    pub reason: Option<String>,
}

/// Where a payment stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PaymentState {
    /// The money is there, or back.
    Succeeded,
    /// Not yet known; an event of the provider's tells.
    Pending,
    /// The payer's side said no.
    Declined,
}

/// A payment, or a refund.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payment {
    /// Its id, in the provider's words.
    pub id: String,
    /// Where it stands.
    pub state: PaymentState,
    /// Why it was declined.
    #[serde(default)]
    pub reason: Option<String>,
}

contract! {
    /// Taking money, and giving it back.
    ///
    /// Where nobody provides it, there is no payment: the caller says that it cannot be paid here. An error leaves open
    /// whether money moved: ask again with the same key.
    trait Payments {
        /// Takes money.
        async fn charge(charge: Charge) -> Payment;
        /// Gives it back.
        async fn refund(refund: Refund) -> Payment;
    }
}

/// Takes money, and gives it back.
#[derive(Debug)]
pub struct AskPayments(pub(crate) Ask);

impl AskPayments {
    /// Takes money; none where nobody takes any.
    ///
    /// # Errors
    ///
    /// The provider's: whether money moved is open, ask again with the same key.
    pub async fn charge(&self, charge: &Charge) -> Result<Option<Payment>> {
        self.0.ask("payments", "charge", charge).await
    }

    /// Gives money back; none where nobody does.
    ///
    /// # Errors
    ///
    /// As [`charge`](Self::charge).
    pub async fn refund(&self, refund: &Refund) -> Result<Option<Payment>> {
        self.0.ask("payments", "refund", refund).await
    }
}
