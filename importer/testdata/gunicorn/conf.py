"""The site's gunicorn."""
import multiprocessing

bind = ["0.0.0.0:8000", "unix:/run/gunicorn.sock"]
workers = multiprocessing.cpu_count() * 2 + 1
worker_class = 'gthread'
threads = 4
timeout = 120
graceful_timeout = 30
keepalive = 5
max_requests = 1000
max_requests_jitter = 100
raw_env = [
    "DJANGO_SETTINGS_MODULE=shop.settings",  # a comment, with [brackets]
    'TOKEN=' 'a=b',
]
umask = 0o027
accesslog = "-"
errorlog = "-"
loglevel = "warning"
proc_name = "shop"
forwarded_allow_ips = "127.0.0.1,10.0.0.1"
preload_app = True
limit_request_line = 4094
secure_scheme_headers = {'X-FORWARDED-PROTOCOL': 'ssl'}
pidfile = None


def post_fork(server, worker):
    server.log.info("Worker spawned (pid: %s)", worker.pid)
