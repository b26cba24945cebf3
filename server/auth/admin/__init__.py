"""The admin API of users, apps and access: ``/admin``, plain JSON, for administrators only."""

from server.auth.admin.door import AdminDoor
from server.auth.admin.routes import router
from server.auth.admin.routing import Administration

__all__ = ["AdminDoor", "Administration", "router"]
