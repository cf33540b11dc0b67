"""The beginning of the test applications: one function for each path."""

PRELUDE = '''
import io, os, sys, threading, tempfile
OK = ("200 OK", [("Content-Type", "text/plain")])
class Closing:
    def __init__(self, items): self.items = iter(items)
    def __iter__(self): return self
    def __next__(self):
        item = next(self.items)
        if isinstance(item, Exception): raise item
        return item
    def close(self): print("closed", flush=True)
apps = {}
def route(f):
    apps["/" + f.__name__] = f
    return f
def application(environ, start_response):
    return apps[environ["PATH_INFO"]](environ, start_response)
'''
