"""The work itself.

pipeline   a Recording's whole way to an Analysis, on one screen
account    what an answer says of its input and its making
inspection what was understood of a recording, without a value
runner     standardised weeks in, one outcome per week out
engines    how a batch is computed
drift      how far the last weeks are from the reference of the weights
gate       how far an engine is from float64, and whether it may serve
hop        the words between the API process and the runner process
embed      an array file of weeks through an encoder
"""

__all__ = ["account", "drift", "embed", "engines", "gate", "hop", "inspection", "pipeline", "runner"]
