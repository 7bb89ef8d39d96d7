"""The HTTP API: who may use it (`security_middleware`, `credentials`), its endpoints (`routes`), and the server.

The only folder, with `dashboard`, that knows FastAPI and uvicorn. It is imported when it is served and not before.
"""
