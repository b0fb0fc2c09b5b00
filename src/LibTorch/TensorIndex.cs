namespace TorchSharp;

public static partial class torch
{
    /// <summary>One place of a Python-like index: a number, a slice, an ellipsis, a new axis, a bool or a tensor of indices.</summary>
    public struct TensorIndex
    {
        internal enum Kinds
        {
            None,
            Single,
            Null,
            Ellipsis,
            Bool,
            Tensor,
            Slice,
        }

        internal Kinds Kind;
        internal long? Start, Stop, Step;
        internal Tensor? Indices;

        public static TensorIndex Ellipsis = new() { Kind = Kinds.Ellipsis };
        public static TensorIndex None = new() { Kind = Kinds.None };
        public static TensorIndex Null = new() { Kind = Kinds.Null };
        public static TensorIndex Colon = Slice();

        public static TensorIndex Slice(long? start = null, long? stop = null, long? step = null) => new() { Kind = Kinds.Slice, Start = start, Stop = stop, Step = step };
        public static TensorIndex Slice((int? start, int? end) range) => Slice((long?)range.start, (long?)range.end);
        public static TensorIndex Slice(Range range) => Slice(Place(range.Start), range.End.Equals(Index.End) ? null : Place(range.End));
        public static TensorIndex Bool(bool value) => new() { Kind = Kinds.Bool, Start = value ? 1 : 0 };
        public static TensorIndex Single(long? index) => new() { Kind = Kinds.Single, Start = index };
        public static TensorIndex Tensor(Tensor tensor) => new() { Kind = Kinds.Tensor, Indices = tensor };

        public static implicit operator TensorIndex(long value) => Single(value);
        public static implicit operator TensorIndex((int? start, int? end) range) => Slice(range);
        public static implicit operator TensorIndex(Range range) => Slice(range);
        public static implicit operator TensorIndex(Index index) => Single(Place(index));

        private static long Place(Index index) => index.IsFromEnd ? -index.Value : index.Value;
    }
}
