//! How a client can break the protocol. Each [`ProtocolError`] has a status and a reason, which are its response. It
//! ends the connection: nothing after it is parsed. Other errors, such as content that is too long (413), are the
//! routes' responses, and need not end the connection.

use crate::semantics::status::Status;

macro_rules! protocol_errors {
    ($($name:ident $status:ident $reason:literal;)*) => {
        /// A violation of RFC 9110 or RFC 9112, or of one of the server's [limits](super::limits).
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum ProtocolError {
            $(#[doc = $reason] $name,)*
        }

        impl ProtocolError {
            /// Every protocol error.
            pub const ALL: &'static [ProtocolError] = &[$(ProtocolError::$name,)*];

            /// The status of the response.
            pub fn status(self) -> Status {
                match self {
                    $(ProtocolError::$name => Status::$status,)*
                }
            }

            /// The content of the response: what was wrong, in one line, without its line end.
            pub fn reason(self) -> &'static str {
                match self {
                    $(ProtocolError::$name => $reason,)*
                }
            }
        }
    };
}

protocol_errors! {
    // The request line (RFC 9112 §3).
    MethodInvalid BadRequest "The method is not a token.";
    MethodTooLong BadRequest "The method is too long.";
    TargetByteInvalid BadRequest "The request target contains a byte that must be percent-encoded.";
    TargetFragment BadRequest "The request target contains a fragment.";
    TargetPercentInvalid BadRequest "A percent sign in the request target is not followed by two hexadecimal digits.";
    TargetFormInvalid BadRequest "The form of the request target is not valid for the method.";
    TargetAuthorityInvalid BadRequest "The authority in the request target is not a valid host and port.";
    RequestLineTooLong UriTooLong "The request line is too long.";
    VersionMissing BadRequest "The request line has no protocol version.";
    VersionInvalid BadRequest "The protocol version is malformed, or is not followed by CR LF.";
    VersionNotSupported HttpVersionNotSupported "Only HTTP/1.1 and HTTP/1.0 are supported.";

    // The field section (RFC 9112 §5), of a head or of trailers.
    LineEndInvalid BadRequest "A line does not end with CR LF.";
    FieldLineIndented BadRequest "A field line begins with white space.";
    FieldNameEmpty BadRequest "A field name is empty.";
    FieldNameInvalid BadRequest "A field name contains an invalid byte.";
    SpaceBeforeColon BadRequest "There is white space between a field name and its colon.";
    FieldColonMissing BadRequest "A field line has no colon.";
    FieldValueInvalid BadRequest "A field value contains a control character.";
    FieldSectionTooLarge RequestHeaderFieldsTooLarge "The fields are too large.";
    FieldLinesTooMany RequestHeaderFieldsTooLarge "There are too many fields.";

    // The head as a whole.
    HeadIncomplete BadRequest "The connection ended before the head of a request was complete.";
    HeadTooSlow RequestTimeout "The head of the request took too long.";

    // Single fields (RFC 9112 §3.2 and §6, RFC 9110 §10.1.1).
    HostMissing BadRequest "The request has no Host field.";
    HostRepeated BadRequest "The request has more than one Host field.";
    HostInvalid BadRequest "The Host field is not a valid host and port.";
    ContentLengthInvalid BadRequest "The Content-Length is not a decimal number of at most 18 digits without leading zeros.";
    ContentLengthRepeated BadRequest "The request has more than one Content-Length.";
    FramingAmbiguous BadRequest "The request has both a Content-Length and a Transfer-Encoding.";
    TransferEncodingInHttp10 BadRequest "An HTTP/1.0 request must not have a Transfer-Encoding.";
    TransferEncodingInvalid BadRequest "The Transfer-Encoding is malformed, or does not end in exactly one chunked coding.";
    TransferCodingUnknown NotImplemented "The only supported transfer coding is chunked.";
    ExpectationUnknown ExpectationFailed "The only supported expectation is 100-continue.";

    // The content (RFC 9112 §7.1 and §8).
    ChunkSizeInvalid BadRequest "A chunk size is not a hexadecimal number of at most 16 digits.";
    ChunkExtensionInvalid BadRequest "A chunk extension contains a control character.";
    ChunkOverheadTooLarge BadRequest "The chunk extensions and leading zeros are longer than the content.";
    ChunkEndInvalid BadRequest "The data of a chunk is not followed by CR LF.";
    ContentIncomplete BadRequest "The connection ended before the content of a request was complete.";
    ContentTooSlow RequestTimeout "The content of the request arrived too slowly.";
}
