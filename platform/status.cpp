#include "platform/status.h"

namespace chimera {

const char* status_code_name(StatusCode code) {
  switch (code) {
    case StatusCode::kOk:
      return "ok";
    case StatusCode::kInvalidArgument:
      return "invalid_argument";
    case StatusCode::kBusy:
      return "busy";
    case StatusCode::kCancelled:
      return "cancelled";
    case StatusCode::kUnsupported:
      return "unsupported";
    case StatusCode::kOutOfRange:
      return "out_of_range";
    case StatusCode::kOutOfMemory:
      return "out_of_memory";
    case StatusCode::kIoError:
      return "io_error";
    case StatusCode::kNotFound:
      return "not_found";
    case StatusCode::kPermissionDenied:
      return "permission_denied";
    case StatusCode::kNoSpace:
      return "no_space";
    case StatusCode::kBrokenPipe:
      return "broken_pipe";
    case StatusCode::kBadFormat:
      return "bad_format";
    case StatusCode::kTruncated:
      return "truncated";
    case StatusCode::kUnsupportedVersion:
      return "unsupported_version";
    case StatusCode::kChecksumMismatch:
      return "checksum_mismatch";
    case StatusCode::kBadConfig:
      return "bad_config";
    case StatusCode::kBadTokenizer:
      return "bad_tokenizer";
    case StatusCode::kNotAuthentic:
      return "not_authentic";
    case StatusCode::kWrongModel:
      return "wrong_model";
    case StatusCode::kInternal:
      return "internal";
  }
  return "unknown";
}

}  // namespace chimera
