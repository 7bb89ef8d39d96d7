"""The HTTP API: access control (`security_middleware`, `credentials`), endpoints (`routes`), and the server.

Only this package and `dashboard` use FastAPI and uvicorn. They are imported when the first connection arrives.
"""
