package front

// A Resource is what a path stands for in a PHP application's root.
type Resource struct {
	DocumentRoot   string // absolute
	ScriptFilename string // absolute; "" if File is set
	ScriptName     string // its path in the URL, "/blog/index.php"
	PathInfo       string // what follows the script in the URL, "" or "/…"
	File           string // a plain file to serve, relative to the root; "" if it is a script
}
