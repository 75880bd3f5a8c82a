"""Predictions as text."""

from tuner.cli.commands.predict import render_csv
from tuner.export.prediction import Predicted


def test_numbers_keep_their_digits_and_a_class_is_no_formula():
    predicted = Predicted(header=("prediction",), rows=((1234567.89,), (20240131.0,)))
    assert render_csv(predicted) == "prediction\n1234567.89\n20240131.0\n"
    header = ("file", "prediction", "p_=1+1", "p_no, never")
    predicted = Predicted(header=header, rows=(("a.png", "=1+1", 0.25, 0.75),))
    assert render_csv(predicted) == (
        'file,prediction,p_=1+1,"p_no, never"\na.png,\'=1+1,0.25,0.75\n'
    )
