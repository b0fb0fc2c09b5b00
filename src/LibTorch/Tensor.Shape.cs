namespace TorchSharp;

public static partial class torch
{
    // Views, copies and pieces.
    public partial class Tensor
    {
        public Tensor view(params long[] shape) => Ops.view.Call(this, shape);
        public Tensor reshape(params long[] shape) => Ops.reshape.Call(this, shape);
        public Tensor view_as(Tensor other) => Ops.view_as.Call(this, other);
        public Tensor flatten(long start_dim = 0, long end_dim = -1) => Ops.flatten_using_ints.Call(this, start_dim, end_dim);
        public Tensor ravel() => Ops.ravel.Call(this);
        public Tensor unflatten(long dim, params long[] sizes) => Ops.unflatten_int.Call(this, dim, sizes);
        public Tensor transpose(long dim0, long dim1) => Ops.transpose_int.Call(this, dim0, dim1);
        public Tensor transpose_(long dim0, long dim1) => Ops.transpose_.InPlace(this, dim0, dim1);
        public Tensor swapaxes(long dim0, long dim1) => transpose(dim0, dim1);
        public Tensor swapdims(long dim0, long dim1) => transpose(dim0, dim1);
        public Tensor permute(params long[] permutation) => Ops.permute.Call(this, permutation);
        public Tensor permute(IEnumerable<long> permutation) => Ops.permute.Call(this, permutation.ToArray());
        public Tensor t() => Ops.t.Call(this);
        public Tensor contiguous() => Ops.contiguous.Call(this);
        public Tensor alias() => Ops.alias.Call(this);
        public Tensor clone() => Ops.clone.Call(this);
        public Tensor detach() => Ops.detach.Call(this);
        public Tensor expand(long[] sizes, bool isImplicit = false) => Ops.expand.Call(this, sizes, isImplicit);
        public Tensor expand(params long[] sizes) => Ops.expand.Call(this, sizes);
        public Tensor expand(ReadOnlySpan<long> sizes, bool isImplicit = false) => Ops.expand.Call(this, sizes.ToArray(), isImplicit);
        public Tensor expand_as(Tensor other) => Ops.expand_as.Call(this, other);
        public Tensor broadcast_to(params long[] shape) => Ops.broadcast_to.Call(this, shape);
        public Tensor unsqueeze(long dim) => Ops.unsqueeze.Call(this, dim);
        public Tensor unsqueeze_(long dim) => Ops.unsqueeze_.InPlace(this, dim);
        public Tensor squeeze(long? dim = null) => dim is { } d ? Ops.squeeze_dim.Call(this, d) : Ops.squeeze.Call(this);
        public Tensor repeat(params long[] sizes) => Ops.repeat.Call(this, sizes);
        public Tensor tile(long[] reps) => Ops.tile.Call(this, reps);
        public Tensor repeat_interleave(long repeats, long? dim = null, long? output_size = null) => Ops.repeat_interleave_self_int.Call(this, repeats, dim, output_size);
        public Tensor repeat_interleave(Tensor repeats, long? dim = null, long? output_size = null) => Ops.repeat_interleave_self_Tensor.Call(this, repeats, dim, output_size);
        public Tensor flip(params long[] dims) => Ops.flip.Call(this, dims);
        public Tensor roll(long shifts, long? dims = null) => Ops.roll.Call(this, Arg.One(shifts), dims is { } d ? Arg.One(d) : Array.Empty<long>());
        public Tensor as_strided(long[] size, long[] strides, long storageOffset = 0) => Ops.as_strided.Call(this, size, strides, storageOffset);
        public Tensor unfold(long dimension, long size, long step) => Ops.unfold.Call(this, dimension, size, step);
        public Tensor[] chunk(long chunks, long dim = 0) => Ops.chunk.CallMany(this, chunks, dim);
        public Tensor[] split(long size, int dim = 0) => Ops.split_Tensor.CallMany(this, size, (long)dim);
        public Tensor[] split(long[] sizes, long dim = 0) => Ops.split_with_sizes.CallMany(this, sizes, dim);
        public Tensor[] split(params long[] sizes) => Ops.split_with_sizes.CallMany(this, sizes);
        public Tensor[] split(ReadOnlySpan<long> sizes, long dim = 0) => Ops.split_with_sizes.CallMany(this, sizes.ToArray(), dim);
        public Tensor[] unbind(long dimension = 0) => Ops.unbind_int.CallMany(this, dimension);
        public Tensor narrow(long dim, long start, long length) => Ops.narrow.Call(this, dim, start, length);
        public Tensor select(long dim, long index) => Ops.select_int.Call(this, dim, index);
        public Tensor slice(long dim, long start, long finish, long step) => Ops.slice_Tensor.Call(this, dim, start, finish, step);
    }
}
