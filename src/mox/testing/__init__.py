"""Contract suites that our own back ends pass, for third parties' back ends to pass too.

Subclass one in a test module and override its fixtures:

    class TestMine(ChunkerContract):
        @pytest.fixture
        def spec(self):
            return Mine()
"""
