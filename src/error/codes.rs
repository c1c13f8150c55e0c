//! Every code the product answers with; `docs/errors.md` is generated from this list.

/// A stable code: programs match on it, documents explain it.
#[derive(Debug, PartialEq, Eq)]
pub struct Code {
    /// The name programs match on.
    pub code: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// The case in few words.
    pub title: &'static str,
    /// What to do about it.
    pub hint: &'static str,
}

macro_rules! codes {
    ($($name:ident = $status:literal $code:literal, $title:literal, $hint:literal;)*) => {
        $(
            #[doc = $title]
            pub static $name: Code = Code { code: $code, status: $status, title: $title, hint: $hint };
        )*
        /// All codes, in the order of the documentation.
        pub static ALL: &[&Code] = &[$(&$name),*];
    };
}

codes! {
    INVALID = 422 "invalid", "A field breaks its rule", "Correct the fields named and send it again.";
    MALFORMED = 400 "malformed", "The request cannot be read", "Check the request against the API reference.";
    UNSUPPORTED_MEDIA = 415 "unsupported_media_type", "The body has another form than expected", "Send the content type that the API reference names.";
    TOO_LARGE = 413 "too_large", "The body is too large", "Send less at once.";
    UNAUTHENTICATED = 401 "unauthenticated", "Nobody is signed in", "Sign in, or send a valid token as “Authorization: Bearer …”.";
    WRONG_CREDENTIALS = 401 "wrong_credentials", "E-mail and password do not match", "Check both; after several failures the account is locked for a while.";
    ACCOUNT_LOCKED = 429 "account_locked", "Too many failed sign-ins", "Wait until the time named, then try again.";
    FORBIDDEN = 403 "forbidden", "Your role does not allow this", "Ask somebody whom the rule names.";
    READ_ONLY_TOKEN = 403 "read_only_token", "The token may only read", "Use a token with the scope “write”.";
    CSRF = 403 "csrf", "The form did not come from this session", "Reload the page and send the form again.";
    NOT_FOUND = 404 "not_found", "There is no such thing", "Check the number; what you may not see is not shown either.";
    METHOD_NOT_ALLOWED = 405 "method_not_allowed", "The address does not take this method", "Look the address up in the API reference.";
    LAST_ADMINISTRATOR = 409 "last_administrator", "Nobody else could administer", "Make somebody else an administrator first.";
    CONFLICT = 409 "conflict", "This would collide with something that exists", "Look at what is there, and change one of the two.";
    STALE = 412 "stale", "Somebody changed it since you read it", "Read it again, then decide again.";
    PRECONDITION_REQUIRED = 428 "precondition_required", "The write must say what it read", "Send the ETag that you read as If-Match.";
    VERSION_CREATION_BLOCKED = 409 "version_creation_blocked", "The model cannot take a new version now", "Finish or cancel what the answer names first.";
    VERSION_IN_USE = 409 "version_in_use", "The version has a history", "Only a bare draft can be deleted; cancel its validation or its tasks instead.";
    WRONG_TRANSITION = 409 "wrong_transition", "It cannot go there from its state", "The answer names the states that it can go to.";
    VALIDATION_NOT_APPROVED = 400 "validation_not_approved", "The version's validation is not approved", "Wait for the approval, or confirm with an override reason of at least 20 characters.";
    OVERRIDE_NOT_NEEDED = 400 "override_not_needed", "A reason was given where none is needed", "Send it again without the override reason.";
    REGIONAL_APPROVAL_REQUIRED = 409 "regional_approval_required", "The region must approve first", "Wait for the regional approval, or confirm with an override reason of at least 20 characters.";
    TASK_NOT_OPEN = 409 "task_not_open", "The task is no longer open", "The answer holds the task as it ended.";
    TASK_EXISTS = 409 "task_exists", "There is an open task for this version and region already", "Use the open task that the answer names.";
    TICKET_NOT_OPEN = 409 "ticket_not_open", "The ticket is already decided", "The answer holds the ticket as it ended.";
    NOT_ELIGIBLE = 403 "not_eligible", "You cannot decide this ticket", "Somebody else with the required role must decide.";
    PREVIEW_REQUIRED = 400 "preview_required", "A release starts with its preview", "Preview it, look at it, and send its preview_ref.";
    PREVIEW_EXPIRED = 409 "preview_expired", "The preview has run out", "Preview it again and look at what changed.";
    PREVIEW_MISMATCH = 409 "preview_mismatch", "What was previewed is no longer so", "Preview it again; the answer names what moved.";
    PREVIEW_USED = 409 "preview_used", "The preview was used", "Preview it again to release it again; the answer names the release.";
    STRATEGY_UNSUPPORTED = 422 "strategy_unsupported", "The runtime does not know the strategy", "Choose a strategy that the environment's runtime knows.";
    VALIDATION_MISSING = 409 "validation_missing", "The version's validation is not approved", "Wait for the approval; only into development a version goes without.";
    FREEZE_WINDOW = 409 "freeze_window", "Nothing is released now", "Wait until the window ends, or give a freeze_reason, which a second person must agree to.";
    ARTIFACT_UNVERIFIED = 409 "artifact_unverified", "The version's bytes are not here, or not its own", "Upload the artifact that the version names.";
    ENVIRONMENT_NOT_READY = 409 "environment_not_ready", "The environment takes no releases", "Wait until it is ready.";
    ENVIRONMENT_BUSY = 409 "environment_busy", "Another release is being applied there", "Wait until it has ended, then try again.";
    NEVER_APPLIED = 409 "never_applied", "The version was never applied there", "Roll back to a version that was; release any other.";
    RUNTIME_FAILED = 502 "runtime_failed", "The machine did not do what was asked", "The diagnostics say where, what and what to do.";
    JOB_NOT_COMPLETE = 409 "job_not_complete", "Only completed training jobs can be deployed", "Wait until it is complete; repeat it if it failed.";
    ALREADY_DEPLOYED = 409 "already_deployed", "The training job has an active deployment", "Release its version into another environment, or stop that deployment first.";
    JOB_DEPLOYED = 409 "job_deployed", "The training job was deployed", "It stays as the evidence of what was deployed.";
    IDEMPOTENCY_MISMATCH = 422 "idempotency_mismatch", "The key was used for another request", "Use a new Idempotency-Key for a new request.";
    IDEMPOTENCY_UNDER_WAY = 409 "idempotency_under_way", "The first request with this key has not answered", "Look at the thing itself: the act may have been done.";
    IMPORT_REFUSED = 422 "import_refused", "The file has rows that cannot be imported", "Correct the rows named, or import without them.";
    DIGEST_MISMATCH = 422 "digest_mismatch", "The bytes have another digest than the one named", "Send the file again, or correct the digest.";
    NOT_SUPPORTED = 501 "not_supported", "The server does not do this", "The documentation of the interface lists what it does.";
    BUSY = 503 "busy", "The server is busy", "Try again in a moment.";
    INTERNAL = 500 "internal", "Something broke", "Try again; if it stays, give the request id to whoever runs this server.";
}
