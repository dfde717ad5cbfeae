"""What a clinician reads: sleep, rhythm and predictions of a recording, with reasons for what is absent.

``absence`` holds the closed list of reasons why a number may be missing, ``analysis`` the result document,
``sleep`` and ``circadian`` the numbers on the recording's own epochs, ``fhir`` the document as FHIR R4.
"""

__all__ = ["absence", "analysis", "circadian", "fhir", "sleep"]
