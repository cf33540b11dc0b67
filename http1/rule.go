package http1

import (
	"net"
	"net/http"
	"strconv"
	"time"
)

// A Rule is one reason for refusing a request: what RFC 9112 forbids, what
// another parser may read in another way, or a limit. It is the error that a
// body's Read returns where the rule is about the body.
type Rule struct {
	Name   string // one stable word
	Status int    // what the client gets; the connection closes with it
	Detail string // for a person
}

func (r *Rule) Error() string { return r.Detail }

// Rules, in the order that a request meets them. § without a name is of RFC 9112.
var (
	RuleEmptyLines  = rule("empty-lines", 400, "no request line")                                    // §2.2: SHOULD ignore at least one
	RuleLineEnd     = rule("line-end", 400, "line that does not end in CRLF")                        // §2.2: a bare LF MAY be taken for one, so it is read in two ways
	RuleRequestLine = rule("request-line", 400, "request line that is not METHOD TARGET HTTP/1.x")   // §3
	RuleMethod      = rule("method", 400, "method that is no token")                                 // §3.1
	RuleVersion     = rule("version", 505, "version of HTTP/1 that is not spoken here")              // RFC 9110 §15.6.6
	RuleTarget      = rule("target", 400, "malformed target")                                        // §3.2
	RuleFold        = rule("fold", 400, "folded line")                                               // §5.2: MUST reject or replace
	RuleFieldName   = rule("field-name", 400, "field whose name is no token with a colon behind it") // §5.1: MUST reject white space before the colon
	RuleFieldValue  = rule("field-value", 400, "control byte in a field's value")                    // RFC 9110 §5.5
	RuleNoHost      = rule("no-host", 400, "no Host in HTTP/1.1")                                    // §3.2: MUST respond with 400
	RuleHosts       = rule("hosts", 400, "two Host")                                                 // §3.2: the same
	RuleHost        = rule("host", 400, "malformed Host")                                            // §3.2: the same
	RuleOtherHost   = rule("other-host", 400, "Host is not the target's")                            // §3.2.2: a client MUST send the same
	RuleLengths     = rule("lengths", 400, "two Content-Length")                                     // §6.3: unrecoverable where they differ
	RuleLength      = rule("length", 400, "malformed Content-Length")                                // RFC 9110 §8.6
	RuleCoding      = rule("coding", 400, "Transfer-Encoding other than chunked, once")              // §6.1
	RuleCodingOld   = rule("coding-old", 400, "Transfer-Encoding in HTTP/1.0")                       // §6.1: MUST treat as if the framing is faulty
	RuleTwoLengths  = rule("length-and-coding", 400, "Content-Length beside Transfer-Encoding")      // §6.3: ought to be handled as an error
	RuleTrailerName = rule("trailer-name", 400, "Trailer names a field that must not come as one")   // RFC 9110 §6.5.1
	RuleExpect      = rule("expect", 417, "expectation other than 100-continue")                     // RFC 9110 §10.1.1
	RuleTargetSize  = rule("target-size", 414, "target over its limit")                              // §3
	RuleFieldSize   = rule("field-size", 431, "field over its limit")                                // RFC 6585 §5
	RuleFieldCount  = rule("field-count", 431, "more fields than allowed")                           // RFC 6585 §5
	RuleHeadSize    = rule("head-size", 431, "head over its limit")                                  // RFC 6585 §5
	RuleSlowHead    = rule("slow-head", 408, "head not complete in time")                            // RFC 9110 §15.5.9
	RuleChunkSize   = rule("chunk-size", 400, "malformed chunk size")                                // §7.1
	RuleChunkLine   = rule("chunk-line", 400, "chunk's size and extensions over their limit")        // §7.1.1: ought to limit
	RuleChunkExcess = rule("chunk-excess", 400, "chunks' extensions over their limit")               // §7.1.1: ought to limit the total
	RuleChunkEnd    = rule("chunk-end", 400, "chunk longer than its size")                           // §7.1
	RuleTrailer     = rule("trailer", 400, "malformed trailer")                                      // §7.1.2
	RuleTrailerKind = rule("trailer-kind", 400, "field in a trailer that belongs in the head")       // RFC 9110 §6.5.1
	RuleTrailerSize = rule("trailer-size", 400, "trailers over their limit")                         // as a head's
)

// Rules lists them all.
var Rules []*Rule

func rule(name string, status int, detail string) *Rule {
	r := &Rule{name, status, detail}
	Rules = append(Rules, r)
	return r
}

// A Refusal is a head that no handler got to see.
type Refusal struct {
	Remote net.Addr
	Rule   *Rule
	Start  time.Time // when the first byte of it was here
	// Method, Target and Proto are what was read of the request line before
	// the refusal, "" otherwise. They are checked no further than the rule.
	Method, Target, Proto string
	Bytes                 int64 // of the answer's body
}

// page is the answer's body.
func (r *Rule) page() string {
	text := "Refused: " + r.Detail + "."
	if r == RuleSlowHead {
		text = "The head was too slow."
	}
	return strconv.Itoa(r.Status) + " " + http.StatusText(r.Status) + "\n" + text + "\n"
}
