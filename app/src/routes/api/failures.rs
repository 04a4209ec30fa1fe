//! The failures that the document promises, in groups. A test holds that no operation answers with a status that it does not promise.

use utoipa::IntoResponses;

use super::problem::Problem;

macro_rules! failures {
    ($(#[$documentation:meta])* $group:ident: $($(#[$reason:meta])* $status:literal $name:ident),+ $(,)?) => {
        $(#[$documentation])*
        #[derive(IntoResponses)]
        #[expect(dead_code, reason = "read by the macros that write the document")]
        pub(super) enum $group {
            $($(#[$reason])*
            #[response(status = $status, content_type = "application/problem+json")]
            $name(#[to_schema] Problem),)+
        }
    };
}

failures! {
    /// What can happen to every request.
    Common:
    /// Something went wrong on the side of the server.
    500 Internal,
    /// The server is busy, or something that it needs is away. `Retry-After` says when to try again.
    503 Unavailable,
}

failures! {
    /// What can happen to a request with parameters.
    Parameters:
    /// A parameter is wrong or unknown.
    400 Wrong,
}

failures! {
    /// What can happen to a request for one thing.
    One:
    /// There is no such thing.
    404 NotFound,
}

failures! {
    /// What can happen to a request that only some may make.
    Authorized:
    /// Nobody is logged in.
    401 LoggedOut,
}

failures! {
    /// What can happen to a request that changes something.
    Change:
    /// It is somebody else's, or the request came from a page of another site.
    403 Forbidden,
    /// Too often in a short time. `Retry-After` says when to try again.
    429 TooOften,
}

failures! {
    /// What can happen to a request with a body.
    Body:
    /// The body is not JSON, or a header is wrong.
    400 Unreadable,
    /// The body is too large.
    413 TooLarge,
    /// The body is something else than JSON.
    415 OtherType,
    /// Fields are missing, unknown, or wrong: `errors` names them.
    422 Wrong,
}
