package front

import (
	"path"
	"strings"
)

// types is the whole of it: what a site answers does not depend on the
// machine's own mime.types. By IANA's registry and the WHATWG's MIME Sniffing,
// with a charset for what is text.
var types = map[string]string{
	".3gp": "video/3gpp", ".7z": "application/x-7z-compressed", ".aac": "audio/aac", ".apk": "application/vnd.android.package-archive",
	".apng": "image/apng", ".asc": "text/plain; charset=utf-8", ".atom": "application/atom+xml", ".avi": "video/x-msvideo",
	".avif": "image/avif", ".bib": "text/plain; charset=utf-8", ".bin": "application/octet-stream", ".bmp": "image/bmp",
	".bz2": "application/x-bzip2", ".cjs": "text/javascript; charset=utf-8", ".conf": "text/plain; charset=utf-8",
	".crt": "application/x-x509-ca-cert", ".css": "text/css; charset=utf-8", ".csv": "text/csv; charset=utf-8",
	".deb": "application/vnd.debian.binary-package", ".diff": "text/plain; charset=utf-8", ".dmg": "application/x-apple-diskimage",
	".doc": "application/msword", ".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
	".eot": "application/vnd.ms-fontobject", ".eps": "application/postscript", ".epub": "application/epub+zip",
	".flac": "audio/flac", ".geojson": "application/geo+json", ".gif": "image/gif", ".glb": "model/gltf-binary",
	".gltf": "model/gltf+json", ".gpx": "application/gpx+xml", ".gz": "application/gzip", ".heic": "image/heic",
	".heif": "image/heif", ".htm": "text/html; charset=utf-8", ".html": "text/html; charset=utf-8", ".ico": "image/x-icon",
	".ics": "text/calendar; charset=utf-8", ".ini": "text/plain; charset=utf-8", ".iso": "application/octet-stream",
	".jar": "application/java-archive", ".jpeg": "image/jpeg", ".jpg": "image/jpeg", ".js": "text/javascript; charset=utf-8",
	".json": "application/json", ".jsonld": "application/ld+json", ".jxl": "image/jxl", ".kml": "application/vnd.google-earth.kml+xml",
	".kmz": "application/vnd.google-earth.kmz", ".log": "text/plain; charset=utf-8", ".m3u8": "application/vnd.apple.mpegurl",
	".m4a": "audio/mp4", ".m4v": "video/mp4", ".map": "application/json", ".md": "text/markdown; charset=utf-8",
	".mid": "audio/midi", ".midi": "audio/midi", ".mjs": "text/javascript; charset=utf-8", ".mkv": "video/matroska",
	".mov": "video/quicktime", ".mp3": "audio/mpeg", ".mp4": "video/mp4", ".mpd": "application/dash+xml", ".mpeg": "video/mpeg",
	".mpg": "video/mpeg", ".ndjson": "application/x-ndjson", ".odp": "application/vnd.oasis.opendocument.presentation",
	".ods": "application/vnd.oasis.opendocument.spreadsheet", ".odt": "application/vnd.oasis.opendocument.text",
	".oga": "audio/ogg", ".ogg": "audio/ogg", ".ogv": "video/ogg", ".opus": "audio/ogg", ".otf": "font/otf",
	".patch": "text/plain; charset=utf-8", ".pdf": "application/pdf", ".pem": "application/x-pem-file", ".png": "image/png",
	".ppt": "application/vnd.ms-powerpoint", ".pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
	".ps": "application/postscript", ".rar": "application/vnd.rar", ".rpm": "application/x-rpm", ".rss": "application/rss+xml",
	".rtf": "application/rtf", ".sig": "application/pgp-signature", ".svg": "image/svg+xml",
	".tar": "application/x-tar", ".tgz": "application/gzip", ".tif": "image/tiff", ".tiff": "image/tiff",
	".toml": "application/toml", ".ts": "video/mp2t", ".tsv": "text/tab-separated-values; charset=utf-8", ".ttc": "font/collection",
	".ttf": "font/ttf", ".txt": "text/plain; charset=utf-8", ".vcf": "text/vcard; charset=utf-8", ".vtt": "text/vtt; charset=utf-8",
	".wasm": "application/wasm", ".wav": "audio/wav", ".weba": "audio/webm", ".webm": "video/webm",
	".webmanifest": "application/manifest+json", ".webp": "image/webp", ".woff": "font/woff", ".woff2": "font/woff2",
	".xhtml": "application/xhtml+xml", ".xls": "application/vnd.ms-excel",
	".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", ".xml": "text/xml; charset=utf-8",
	".xsl": "application/xslt+xml", ".xz": "application/x-xz", ".yaml": "application/yaml", ".yml": "application/yaml",
	".zip": "application/zip", ".zst": "application/zstd",
}

// contentType goes by the name alone: guessing by content makes a page of an
// upload.
func contentType(name string) string {
	if t, ok := types[strings.ToLower(path.Ext(name))]; ok {
		return t
	}
	return "application/octet-stream"
}
