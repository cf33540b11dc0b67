package app

import "github.com/frontd/frontd/app/wsgi"

func (a App) wsgiCommand(o Options) (Command, error) {
	path, args, env, err := wsgi.Command(wsgi.Options{
		Target: a.Target, Dir: a.Dir, Python: o.Python,
		Threads: o.Threads, CacheDir: o.CacheDir, Dev: o.Dev,
		Middleware: o.Middleware, Settings: o.Settings, Tracebacks: o.Tracebacks, Template: o.Template,
	})
	return Command{Path: path, Args: args, Env: env, Concurrency: threadsOr(o.Threads, 1)}, err
}
