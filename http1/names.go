package http1

import "net/textproto"

// common are field names by their lower-case form, so that one that comes in
// another case than the canonical costs no memory.
var common = func() map[string]string {
	m := make(map[string]string)
	for _, name := range [...]string{
		"Accept", "Accept-Charset", "Accept-Encoding", "Accept-Language", "Authorization", "Cache-Control", "Connection",
		"Content-Encoding", "Content-Language", "Content-Length", "Content-Type", "Cookie", "Date", "Dnt", "Expect", "Forwarded",
		"From", "Host", "If-Match", "If-Modified-Since", "If-None-Match", "If-Range", "If-Unmodified-Since", "Keep-Alive", "Origin",
		"Pragma", "Priority", "Range", "Referer", "Sec-Ch-Ua", "Sec-Ch-Ua-Mobile", "Sec-Ch-Ua-Platform", "Sec-Fetch-Dest",
		"Sec-Fetch-Mode", "Sec-Fetch-Site", "Sec-Fetch-User", "Sec-Gpc", "Te", "Trailer", "Transfer-Encoding", "Upgrade",
		"Upgrade-Insecure-Requests", "User-Agent", "Via", "X-Csrf-Token", "X-Forwarded-For", "X-Forwarded-Host",
		"X-Forwarded-Proto", "X-Real-Ip", "X-Request-Id", "X-Requested-With",
	} {
		lower := []byte(name)
		for i, c := range lower {
			if 'A' <= c && c <= 'Z' {
				lower[i] = c | 0x20
			}
		}
		m[string(lower)] = name
	}
	return m
}()

const maxCommon = len("upgrade-insecure-requests")

// canonical returns a token's canonical form as net/http has it: upper case at
// the start and behind "-", lower case elsewhere.
func canonical(name string) string {
	upper := true
	for i := range len(name) {
		c := name[i]
		if upper && 'a' <= c && c <= 'z' || !upper && 'A' <= c && c <= 'Z' {
			return canonicalOf(name)
		}
		upper = c == '-'
	}
	return name
}

func canonicalOf(name string) string {
	if len(name) <= maxCommon {
		var lower [maxCommon]byte
		for i := range len(name) {
			c := name[i]
			if 'A' <= c && c <= 'Z' {
				c |= 0x20
			}
			lower[i] = c
		}
		if known, ok := common[string(lower[:len(name)])]; ok {
			return known
		}
	}
	return textproto.CanonicalMIMEHeaderKey(name)
}
