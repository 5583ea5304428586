//! Functions that answer requests.

use crate::{answer::Answer, error::Result, extract::Extract, operation::Operation, request::Call};

/// An `async fn` that takes a [`Call`] and up to three things that it asks for, and answers.
///
/// ```text
/// async fn show(call: Call<Shop>, Path(id): Path<Uuid>) -> Result<Json<Order>> { … }
/// ```
pub trait Handler<E, Args>: Clone + Send + Sync + 'static {
    /// What it answers.
    type Answer: Answer;

    /// Reads what it asks for and runs it.
    fn call(&self, call: Call<E>) -> impl Future<Output = Result<Self::Answer>>;

    /// Describes what it takes and answers.
    fn describe(operation: &mut Operation);
}

macro_rules! handlers {
    ($(($($arg:ident),*))*) => {$(
        impl<E, F, Fut, Out, $($arg),*> Handler<E, ($($arg,)*)> for F
        where
            F: Fn(Call<E> $(, $arg)*) -> Fut + Clone + Send + Sync + 'static,
            Fut: Future<Output = Result<Out>>,
            Out: Answer,
            $($arg: Extract,)*
        {
            type Answer = Out;

            #[allow(clippy::allow_attributes, reason = "only one of the four needs it")]
            #[allow(non_snake_case, unused_mut, reason = "named after the types; none without arguments")]
            async fn call(&self, mut call: Call<E>) -> Result<Out> {
                $(let $arg = $arg::extract(call.request_mut()).await?;)*
                self(call $(, $arg)*).await
            }

            fn describe(operation: &mut Operation) {
                $($arg::describe(operation);)*
                Out::describe(operation);
            }
        }
    )*};
}

handlers! { () (A) (A, B) (A, B, C) }
