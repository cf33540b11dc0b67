"""frontd's host for one WSGI application: a FastCGI responder (PEP 3333 over
the FastCGI Specification 1.0).

References of the form "FastCGI 3.3" are to sections of that specification.
"""
