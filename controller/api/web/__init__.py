"""The HTTP API: who may ask (`gate`, `credentials`), what can be asked (`routes`), and the server that is asked.

The only folder, with `pages`, that knows FastAPI and uvicorn. It is imported when it is served and not before.
"""
