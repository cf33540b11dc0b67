package app

// FolderApp returns the application that runs the files of one kind in a folder,
// which it gets by SCRIPT_FILENAME, and whether this kind can be part of a folder.
//
// A new kind of file takes an entry here, a word in package config (handlerWords)
// and a program that serves whichever file SCRIPT_FILENAME names.
func FolderApp(kind Kind, folder string) (App, bool) {
	target, ok := map[Kind]string{
		WSGI: "frontd_wsgi.folder:application", // loads each file once, and again when it has changed
		CGI:  folder,
		PHP:  folder,
	}[kind]
	return App{Kind: kind, Target: target, Dir: folder}, ok
}
