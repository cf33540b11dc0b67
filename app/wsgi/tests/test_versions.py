"""What the host needs of Python: nothing that 3.9, the oldest it runs under, lacks."""

import ast
import importlib
import os
import sys
import unittest

from .client import PACKAGE

OLDEST = (3, 9)

# What the host uses of modules of the standard library. All of it is in 3.9:
# the documentation of what is added here must not say "New in version 3.10" or later.
KNOWN = {
    "argparse": "ArgumentParser",
    "array": "array",
    "collections": "deque",
    "collections.abc": "MutableMapping",
    "ctypes": "CDLL",
    "errno": "EMFILE ENFILE",
    "faulthandler": "enable register",
    "functools": "partial",
    "gc": "collect freeze get_threshold isenabled set_threshold",
    "importlib": "__file__ import_module machinery",
    "importlib.machinery": "SourceFileLoader",
    "io": "BufferedReader FileIO",
    "ipaddress": "ip_address",
    "json": "dumps loads",
    "linecache": "getline",
    "os": "O_RDONLY _exit chdir close devnull dup dup2 environ fork fstat getcwd getppid open path pipe "
          "read register_at_fork sep set_blocking set_inheritable setpgid stat waitpid write",
    "os.path": "abspath dirname join normpath relpath samestat splitext",
    "posixpath": "normpath",
    "re": "compile",
    "reprlib": "Repr",
    "select": "EPOLLEXCLUSIVE EPOLLIN EPOLLONESHOT POLLIN epoll poll",
    "signal": "SIGINT SIGQUIT SIGTERM SIG_BLOCK SIG_DFL SIG_SETMASK default_int_handler getsignal pthread_sigmask "
              "set_wakeup_fd signal",
    "socket": "AF_UNIX CMSG_SPACE IPPROTO_TCP MSG_CMSG_CLOEXEC MSG_DONTWAIT SCM_RIGHTS SHUT_WR SOL_SOCKET "
              "SO_RCVTIMEO SO_SNDTIMEO TCP_NODELAY socket",
    "stat": "S_ISREG",
    "struct": "Struct pack",
    "sys": "argv exc_info executable exit modules path stderr stdout version version_info",
    "threading": "Lock RLock Thread current_thread enumerate get_ident local",
    "time": "monotonic time",
    "traceback": "TracebackException format_exc format_exception print_exception walk_tb",
    "types": "ModuleType",
    "urllib.parse": "quote unquote_to_bytes urlsplit",
    "warnings": "catch_warnings simplefilter",
}


def sources():
    for name in sorted(os.listdir(PACKAGE)):
        if name.endswith(".py"):
            with open(os.path.join(PACKAGE, name), encoding="utf-8") as f:
                yield name, f.read()


class Uses(ast.NodeVisitor):
    """Gathers what a file names of the modules that it imports, as module -> names."""

    def __init__(self):
        self.found = {}
        self._modules = {}  # the name in the file -> the module

    def visit_Import(self, node):
        for alias in node.names:
            self.found.setdefault(alias.name, set())
            top = alias.name.partition(".")[0]
            self._modules[alias.asname or top] = alias.name if alias.asname else top

    def visit_ImportFrom(self, node):
        if node.level == 0:
            self.found.setdefault(node.module, set()).update(alias.name for alias in node.names)

    def visit_Attribute(self, node):
        self.generic_visit(node)
        name = self._name(node.value)
        if name is not None:
            self.found.setdefault(name, set()).add(node.attr)

    def _name(self, node):
        """The module that an expression is, or None."""
        if isinstance(node, ast.Name):
            return self._modules.get(node.id)
        if isinstance(node, ast.Attribute):
            outer = self._name(node.value)
            inner = "%s.%s" % (outer, node.attr)
            return inner if outer is not None and inner in KNOWN else None
        return None


class Versions(unittest.TestCase):
    def test_grammar(self):
        for name, source in sources():
            with self.subTest(name):
                ast.parse(source, name, feature_version=OLDEST)

    def test_standard_library(self):
        for name, source in sources():
            uses = Uses()
            uses.visit(ast.parse(source, name))
            for module, names in uses.found.items():
                if module.split(".")[0] in ("frontd_wsgi", "django"):
                    continue
                with self.subTest(name):
                    self.assertIn(module, KNOWN, "in no list of what 3.9 has")
                    self.assertEqual(names - set(KNOWN[module].split()), set(), "of %s" % module)

    def test_list_is_true(self):
        """Each name of the list is in the Python that runs this, the oldest as the newest."""
        for module, names in KNOWN.items():
            for name in names.split():
                if sys.platform != "linux" and "epoll" in name.lower():
                    continue
                with self.subTest(module):
                    self.assertTrue(hasattr(importlib.import_module(module), name), name)
