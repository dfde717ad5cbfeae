"""``/openapi.json``: the document (document), what it says of each operation (operations), and with what.

operation is the form of an entry; analysis, fhir, later, people and running hold them; refusals says how
operations refuse, schemas what is sent and answered.
"""

from api.openapi.document import HEADERS, Description

__all__ = ["HEADERS", "Description"]
