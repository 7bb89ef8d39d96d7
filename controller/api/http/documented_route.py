"""Routes whose response models are built for the OpenAPI document only.

`routers` makes `DocumentedRoute` the class of the routes of the API. Their endpoints return complete responses, so no
request needs the serializers of the models, which take 3 MB of memory.
"""

from collections.abc import Callable
from typing import Any

from fastapi.routing import APIRoute
from fastapi.utils import create_model_field
from pydantic import BaseModel, ConfigDict


class ResponseModel(BaseModel):
    """A model of a response. Its schema is built on first use."""

    model_config = ConfigDict(defer_build=True)


class DocumentedRoute(APIRoute):
    """A route with a response model that is unused until `document` is called."""

    def __init__(self, path: str, endpoint: Callable[..., Any], *, response_model: Any = None, **options: Any) -> None:
        super().__init__(path, endpoint, response_model=None, **options)
        self._documented = response_model

    def document(self) -> None:
        """Build the response model. FastAPI's generator of the document reads it from the route."""
        if self._documented and self.response_field is None:
            self.response_model = self._documented
            self.response_field = create_model_field(
                name=f"Response_{self.unique_id}", type_=self._documented, mode="serialization"
            )
