using System.Runtime.InteropServices;

namespace Gradus.Training.Inference.Cpu;

/// <summary>
/// Keys and values in pages of 16 positions of one sequence, all layers: for each layer first the keys, [head][feature][position], so that 16 scores come
/// of one pass, then the values, [head][position][feature]. Features are padded with zeros to whole vectors.
/// </summary>
internal sealed unsafe class PagePool : IDisposable
{
    public const int Positions = 16;

    private readonly List<nint> owned = [];
    private readonly Stack<nint> free = [];
    private readonly List<List<nint>> slots = [];
    private readonly Dictionary<nint, int> holders = [];

    /// <param name="headWidth">Features of a head.</param>
    public PagePool(int layers, int heads, int headWidth)
    {
        Width = (headWidth + 15) / 16 * 16;
        HeadFloats = Width * Positions;
        LayerFloats = 2 * heads * HeadFloats;
        (ValuesFrom, PageFloats) = (heads * HeadFloats, (long)layers * LayerFloats);
    }

    /// <summary>Features of a head with padding.</summary>
    public int Width { get; }

    /// <summary>Floats of one head's keys, or values, in a page.</summary>
    public int HeadFloats { get; }

    public int LayerFloats { get; }

    /// <summary>Where a layer's values begin.</summary>
    public int ValuesFrom { get; }

    private long PageFloats { get; }

    /// <summary>A slot's pages, in order.</summary>
    public ReadOnlySpan<nint> Pages(int slot) => CollectionsMarshal.AsSpan(slots[slot]);

    /// <summary>Gives a slot pages for so many positions; what stands in those it has stays. Not while another thread reads slots.</summary>
    public void Reserve(int slot, int positions)
    {
        while (slots.Count <= slot) slots.Add([]);
        while (slots[slot].Count * Positions < positions) slots[slot].Add(Take());
    }

    /// <summary>Makes a slot hold the first positions of another: whole pages are shared (nobody writes into them again), the rest is copied.</summary>
    public void Copy(int from, int to, int positions)
    {
        Release(to);
        var whole = positions / Positions;
        foreach (var page in slots[from].Take(whole))
        {
            holders[page] = holders.GetValueOrDefault(page, 1) + 1;
            slots[to].Add(page);
        }
        Reserve(to, positions);
        if (positions % Positions > 0) Buffer.MemoryCopy((void*)slots[from][whole], (void*)slots[to][whole], PageFloats * sizeof(float), PageFloats * sizeof(float));
    }

    /// <summary>Gives a slot's pages to another, whose own go back to the pool.</summary>
    public void Move(int from, int to)
    {
        Release(to);
        (slots[from], slots[to]) = (slots[to], slots[from]);
    }

    public void Release(int slot)
    {
        while (slots.Count <= slot) slots.Add([]);
        foreach (var page in slots[slot])
        {
            var others = holders.GetValueOrDefault(page, 1) - 1;
            if (others == 0) free.Push(page);
            if (others <= 1) holders.Remove(page);
            else holders[page] = others;
        }
        slots[slot].Clear();
    }

    public void Dispose()
    {
        foreach (var page in owned) NativeMemory.AlignedFree((void*)page);
        owned.Clear();
        free.Clear();
        slots.Clear();
    }

    private nint Take()
    {
        if (free.TryPop(out var page)) return page;
        var fresh = NativeMemory.AlignedAlloc((nuint)(PageFloats * sizeof(float)), 64);
        NativeMemory.Clear(fresh, (nuint)(PageFloats * sizeof(float)));
        owned.Add((nint)fresh);
        return (nint)fresh;
    }
}
