"""What other draft lengths, trees and machines would give, from what a run has recorded."""
