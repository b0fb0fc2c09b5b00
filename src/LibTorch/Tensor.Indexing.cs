using System.Runtime.CompilerServices;

namespace TorchSharp;

public static partial class torch
{
    public partial class Tensor
    {
        [IndexerName("TensorItems")]
        public Tensor this[params TensorIndex[] indices]
        {
            get => index(indices);
            set => index_put_(value, indices);
        }

        [IndexerName("TensorItems")]
        public Tensor this[params Tensor[] indices]
        {
            get => index(indices);
            set => index_put_(value, indices);
        }

        [IndexerName("TensorItems")]
        public Tensor this[params long[] indices]
        {
            get => index(Singles(indices));
            set => index_put_(value, Singles(indices));
        }

        [IndexerName("TensorItems")]
        public Tensor this[long i1]
        {
            get => select(0, i1);
            set => index_put_(value, Singles([i1]));
        }

        [IndexerName("TensorItems")]
        public Tensor this[long i1, long i2]
        {
            get => index(Singles([i1, i2]));
            set => index_put_(value, Singles([i1, i2]));
        }

        [IndexerName("TensorItems")]
        public Tensor this[long i1, long i2, long i3]
        {
            get => index(Singles([i1, i2, i3]));
            set => index_put_(value, Singles([i1, i2, i3]));
        }

        /// <summary>A view where no tensor or bool is among the indices, a copy otherwise.</summary>
        public Tensor index(params TensorIndex[] indices)
        {
            using var scope = NewDisposeScope();
            var (view, tensors) = View(indices);
            if (tensors is not null) return scope.MoveToOuter(Ops.index_Tensor.Call(view, Arg.OptionalTensors(tensors)));
            return ReferenceEquals(view, this) ? scope.MoveToOuter(alias()) : scope.MoveToOuter(view);
        }

        public Tensor index(params Tensor[] indices) => index(Indices(indices));

        public Tensor index_put_(Tensor value, params TensorIndex[] indices) => index_put_(value, indices, false);

        public Tensor index_put_(Tensor value, TensorIndex[] indices, bool accumulate = false)
        {
            using var scope = NewDisposeScope();
            var (view, tensors) = View(indices);
            if (tensors is not null) Ops.index_put_.InPlace(view, Arg.OptionalTensors(tensors), value, accumulate);
            else if (accumulate) throw new ArgumentException("index_put_ with accumulate needs a tensor of indices");
            else view.copy_(value);
            return this;
        }

        public Tensor index_put_(Tensor value, params Tensor[] indices) => index_put_(value, Indices(indices), false);
        public Tensor index_put_(Tensor value, Tensor[] indices, bool accumulate = false) => index_put_(value, Indices(indices), accumulate);

        public Tensor index_put_(Scalar value, params TensorIndex[] indices)
        {
            using Tensor filled = full([], value, dtype);
            return index_put_(filled, indices, false);
        }

        public Tensor index_put_(Scalar value, params Tensor[] indices) => index_put_(value, Indices(indices));

        /// <summary>Applies numbers, slices and new axes; what is left are tensors of indices by dimension (null: the whole dimension).</summary>
        private (Tensor View, Tensor?[]? Tensors) View(TensorIndex[] indices)
        {
            Tensor view = this;
            // A mask stands for as many dimensions as it has and the operator expands it: later indices move up by `merged` places.
            int d = 0, merged = 0;
            List<Tensor?>? tensors = null;
            for (int k = 0; k < indices.Length; k++)
            {
                ref readonly var i = ref indices[k];
                switch (i.Kind)
                {
                    case TensorIndex.Kinds.Single:
                        view = view.select(d, i.Start ?? 0);
                        break;
                    case TensorIndex.Kinds.Slice:
                        if (i.Start is not null || i.Stop is not null || i.Step is not null) view = Ops.slice_Tensor.Call(view, d, i.Start, i.Stop, i.Step ?? 1);
                        d++;
                        break;
                    case TensorIndex.Kinds.Ellipsis:
                        d = (int)view.ndim - Consumed(indices.AsSpan(k + 1));
                        break;
                    case TensorIndex.Kinds.None or TensorIndex.Kinds.Null:
                        view = view.unsqueeze(d++);
                        break;
                    case TensorIndex.Kinds.Bool:
                        view = view.unsqueeze(d);
                        Place(ref tensors, d++ - merged, full([1], i.Start != 0, ScalarType.Bool));
                        break;
                    case TensorIndex.Kinds.Tensor:
                        Place(ref tensors, d - merged, i.Indices!);
                        int covered = Covered(i.Indices!);
                        d += covered;
                        merged += covered - 1;
                        break;
                }
            }
            return (view, tensors?.ToArray());
        }

        private static void Place(ref List<Tensor?>? tensors, int dimension, Tensor index)
        {
            tensors ??= [];
            while (tensors.Count < dimension) tensors.Add(null);
            tensors.Add(index);
        }

        private static int Covered(Tensor index) => index.dtype is ScalarType.Bool or ScalarType.Byte ? (int)index.ndim : 1;

        private static int Consumed(ReadOnlySpan<TensorIndex> rest)
        {
            int n = 0;
            foreach (ref readonly var i in rest)
                n += i.Kind switch
                {
                    TensorIndex.Kinds.Single or TensorIndex.Kinds.Slice => 1,
                    TensorIndex.Kinds.Tensor => Covered(i.Indices!),
                    _ => 0,
                };
            return n;
        }

        private static TensorIndex[] Singles(long[] indices) => Array.ConvertAll(indices, i => TensorIndex.Single(i));
        private static TensorIndex[] Indices(Tensor[] indices) => Array.ConvertAll(indices, TensorIndex.Tensor);
    }
}
