namespace TorchSharp;

/// <summary>
/// Owns the tensors made on its thread while it is the innermost scope, and disposes them with itself. Scopes nest and are per
/// thread: never keep one open across an await.
/// </summary>
public sealed class DisposeScope : IDisposable
{
    [ThreadStatic] internal static DisposeScope? Current;

    private readonly DisposeScope? _outer;
    private readonly List<torch.Tensor> _tensors = [];
    private bool _disposed;

    internal DisposeScope()
    {
        _outer = Current;
        Current = this;
    }

    public int DisposablesCount => Open()._tensors.Count;
    public IReadOnlyList<IDisposable> DisposablesView => Open()._tensors.ToArray();
    public bool Contains(IDisposable disposable) => disposable is torch.Tensor t && t.Scope == this;

    public void Attach(IDisposable disposable)
    {
        Open();
        var tensor = (torch.Tensor)disposable;
        if (tensor.Scope == this) return;
        tensor.Scope?.Remove(tensor);
        Add(tensor);
    }

    public void Attach(params IDisposable[] disposables)
    {
        foreach (var d in disposables) Attach(d);
    }

    public T Detach<T>(T disposable) where T : IDisposable
    {
        if (Open().Contains(disposable)) Remove((torch.Tensor)(IDisposable)disposable);
        return disposable;
    }

    public void Detach(params IDisposable[] disposables)
    {
        foreach (var d in disposables) Detach<IDisposable>(d);
    }

    public void Detach(IEnumerable<IDisposable> disposables)
    {
        foreach (var d in disposables) Detach<IDisposable>(d);
    }

    /// <summary>Hands the tensor to another scope; null takes it out of all scopes. What this scope does not own stays where it is.</summary>
    public T MoveToOther<T>(DisposeScope? scope, T disposable) where T : IDisposable
    {
        if (!Open().Contains(disposable)) return disposable;
        var tensor = (torch.Tensor)(IDisposable)disposable;
        Remove(tensor);
        scope?.Add(tensor);
        return disposable;
    }

    public void MoveToOther(DisposeScope? scope, IEnumerable<IDisposable> disposables)
    {
        foreach (var d in disposables) MoveToOther<IDisposable>(scope, d);
    }

    /// <summary>Hands the tensor to the enclosing scope; without one it leaves all scopes.</summary>
    public T MoveToOuter<T>(T disposable) where T : IDisposable => MoveToOther(Outer, disposable);

    public (T1 first, T2 second) MoveToOuter<T1, T2>(T1 first, T2 second)
        where T1 : IDisposable where T2 : IDisposable => (MoveToOuter(first), MoveToOuter(second));

    public (T1 first, T2 second, T3 third) MoveToOuter<T1, T2, T3>(T1 first, T2 second, T3 third)
        where T1 : IDisposable where T2 : IDisposable where T3 : IDisposable => (MoveToOuter(first), MoveToOuter(second), MoveToOuter(third));

    public void MoveToOuter(params IDisposable[] disposables) => MoveToOther(Outer, (IEnumerable<IDisposable>)disposables);
    public void MoveToOuter(IEnumerable<IDisposable> disposables) => MoveToOther(Outer, disposables);

    public void DisposeEverything() => DisposeEverythingBut((IEnumerable<IDisposable>)[]);

    public T DisposeEverythingBut<T>(T keep) where T : IDisposable
    {
        DisposeEverythingBut((IEnumerable<IDisposable>)[keep]);
        return keep;
    }

    public void DisposeEverythingBut(params IDisposable[] keep) => DisposeEverythingBut((IEnumerable<IDisposable>)keep);

    public void DisposeEverythingBut(IEnumerable<IDisposable> inKeep)
    {
        Open();
        var keep = new HashSet<IDisposable>(inKeep, ReferenceEqualityComparer.Instance);
        for (int k = _tensors.Count - 1; k >= 0; k--)
            if (keep.Count == 0 || !keep.Contains(_tensors[k])) _tensors[k].Dispose();
    }

    public void MarkAsDisposed(IDisposable disposable) => Detach<IDisposable>(disposable);

    public void Dispose()
    {
        if (_disposed) return;
        for (int k = _tensors.Count - 1; k >= 0; k--) _tensors[k].Dispose();
        _disposed = true;
        Unlink();
    }

    internal void Add(torch.Tensor tensor)
    {
        tensor.Scope = this;
        tensor.Slot = _tensors.Count;
        _tensors.Add(tensor);
    }

    /// <summary>The last tensor takes the removed one's slot, so that removal does not depend on how many there are.</summary>
    internal void Remove(torch.Tensor tensor)
    {
        int last = _tensors.Count - 1;
        if (tensor.Slot != last) (_tensors[tensor.Slot] = _tensors[last]).Slot = tensor.Slot;
        _tensors.RemoveAt(last);
        tensor.Scope = null;
    }

    internal void MoveOut(torch.Tensor tensor) => MoveToOther(Outer, tensor);

    /// <summary>The enclosing scope that is still open.</summary>
    private DisposeScope? Outer
    {
        get
        {
            var outer = _outer;
            while (outer is { _disposed: true }) outer = outer._outer;
            return outer;
        }
    }

    private DisposeScope Open()
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        return this;
    }

    /// <summary>Scopes closed out of order: the thread's innermost open scope stays current.</summary>
    private static void Unlink()
    {
        while (Current is { _disposed: true }) Current = Current._outer;
    }
}

public static partial class torch
{
    public static DisposeScope NewDisposeScope() => new();

    public static Tensor WrappedTensorDisposeScope(Func<Tensor> expr)
    {
        using var scope = NewDisposeScope();
        return scope.MoveToOuter(expr());
    }
}
