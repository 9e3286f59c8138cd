"""A small Azure Resource Manager: function apps with their settings, and functions that these switch off.

async with FunctionsServer() as server:
    server.app("shop").functions["onOrder"] = Function()
    ... server.endpoint, server.token, server.app_id("shop")
"""

from sandbox.functions.server import App, Function, FunctionsServer

__all__ = ["App", "Function", "FunctionsServer"]
