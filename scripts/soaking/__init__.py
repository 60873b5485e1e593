"""Long runs that try to break what dimos-record promises; `scripts/soak` starts them."""
