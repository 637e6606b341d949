//! What a peer can do wrong with the protocol. Each protocol error has a name, a status, and one line of reason; each ends its
//! connection, and nothing after it is parsed.

use crate::semantics::status::Status;

macro_rules! protocol_errors {
    ($($name:ident $status:ident $reason:literal;)*) => {
        /// A breach of RFC 9110 or RFC 9112, or of a limit.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum ProtocolError {
            $(#[doc = $reason] $name,)*
        }

        impl ProtocolError {
            /// Every protocol error there is.
            pub const ALL: &'static [ProtocolError] = &[$(ProtocolError::$name,)*];

            /// The status of the answer.
            pub fn status(self) -> Status {
                match self {
                    $(ProtocolError::$name => Status::$status,)*
                }
            }

            /// What was wrong, in one line without its end.
            pub fn reason(self) -> &'static str {
                match self {
                    $(ProtocolError::$name => $reason,)*
                }
            }
        }
    };
}

protocol_errors! {
    MethodInvalid BadRequest "The method is not a token.";
    MethodTooLong BadRequest "The method is longer than any method.";
    TargetByteInvalid BadRequest "The request target holds a byte that no URI may hold as it is: percent-encode it.";
    TargetFragment BadRequest "The request target has a fragment.";
    TargetPercentInvalid BadRequest "A percent sign in the request target is not followed by two hexadecimal digits.";
    TargetFormInvalid BadRequest "The request target has no form that this method may have.";
    TargetAuthorityInvalid BadRequest "The authority in the request target is not a valid host and port.";
    RequestLineTooLong UriTooLong "The request line is too long.";
    VersionMissing BadRequest "The request line has no protocol version.";
    VersionInvalid BadRequest "The protocol version is not of the form HTTP/1.1, or is not followed by CRLF.";
    VersionNotSupported HttpVersionNotSupported "Only HTTP/1.1 and HTTP/1.0 are spoken here.";
    LineEndInvalid BadRequest "A line does not end in CR LF.";
    FieldLineIndented BadRequest "A field line begins with white space.";
    FieldNameEmpty BadRequest "A field has no name.";
    FieldNameInvalid BadRequest "A field name holds a byte that no name may hold.";
    SpaceBeforeColon BadRequest "There is white space between a field name and its colon.";
    FieldColonMissing BadRequest "A field line has no colon.";
    FieldValueInvalid BadRequest "A field value holds a control byte.";
    FieldSectionTooLarge RequestHeaderFieldsTooLarge "The fields are too large.";
    FieldLinesTooMany RequestHeaderFieldsTooLarge "There are too many fields.";
    HeadIncomplete BadRequest "The connection ended within the head of a request.";
    HeadTooSlow RequestTimeout "The head of the request took too long.";
    HostMissing BadRequest "The request has no Host field.";
    HostRepeated BadRequest "The request has more than one Host field.";
    HostInvalid BadRequest "The Host field is not a valid host and port.";
    ContentLengthInvalid BadRequest "The Content-Length is not a decimal number of at most 18 digits, without zeros in front.";
    ContentLengthRepeated BadRequest "The request has more than one Content-Length.";
    FramingAmbiguous BadRequest "The request has both a Content-Length and a Transfer-Encoding.";
    TransferEncodingInHttp10 BadRequest "HTTP/1.0 has no Transfer-Encoding.";
    TransferEncodingInvalid BadRequest "The Transfer-Encoding is not exactly one chunked.";
    TransferCodingUnknown NotImplemented "The only transfer coding known here is chunked.";
    ExpectationUnknown ExpectationFailed "The only expectation known here is 100-continue.";
    ChunkSizeInvalid BadRequest "A chunk size is not a hexadecimal number of at most 16 digits.";
    ChunkExtensionInvalid BadRequest "A chunk extension is malformed.";
    ChunkOverheadTooLarge BadRequest "The chunk extensions are out of proportion to the content.";
    ChunkEndInvalid BadRequest "The data of a chunk is not followed by CR LF.";
    ContentIncomplete BadRequest "The connection ended within the content of a request.";
    ContentTooSlow RequestTimeout "The content of the request came too slowly.";
}
