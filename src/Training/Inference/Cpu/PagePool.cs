using System.Runtime.InteropServices;

namespace Gradus.Training.Inference.Cpu;

/// <summary>
/// The memory of all pages, never more than its bound. Whole pages can be found by what stands there; those that nobody holds any more stay until their memory is
/// wanted, least recently used first. It knows no slots.
/// </summary>
/// <remarks>Whoever holds a page holds those before it, and drops the last one first: a page goes before the one it follows, so that all that are kept can be found.</remarks>
internal sealed unsafe class PagePool(PageShape shape) : IDisposable
{
    private readonly HashSet<CachePage> owned = [];
    private readonly Stack<CachePage> free = [];
    private readonly LinkedList<CachePage> kept = [];
    private readonly Dictionary<PageText, CachePage> known = [];

    public PageShape Shape { get; } = shape;

    /// <summary>The most pages there may be at once.</summary>
    public long Bound { get; private set; } = long.MaxValue;

    /// <summary>The most pages there were at once.</summary>
    public int Peak { get; private set; }

    /// <summary>How many pages <see cref="Take"/> can give.</summary>
    public long Room => Bound - owned.Count + free.Count + kept.Count;

    /// <summary>Pages that a slot holds.</summary>
    public int Held => owned.Count - free.Count - kept.Count;

    /// <summary>Sets the bound; what is above it is given back to the system, as far as no slot holds it.</summary>
    public void Limit(long pages)
    {
        Bound = pages;
        while (owned.Count > Bound && (free.Count > 0 || kept.Count > 0))
        {
            var page = free.Count > 0 ? free.Pop() : Oldest();
            owned.Remove(page);
            NativeMemory.AlignedFree((void*)page.Address);
        }
    }

    /// <summary>A page for its first holder; what stands there means nothing. Only where there is <see cref="Room"/>.</summary>
    public CachePage Take()
    {
        var page = free.Count > 0 ? free.Pop() : owned.Count < Bound ? New() : Oldest();
        page.Holders = 1;
        return page;
    }

    /// <summary>The page where these 16 tokens stand after the page <paramref name="before"/>; null where there is none.</summary>
    public CachePage? Find(CachePage? before, ReadOnlySpan<int> tokens) => known.GetValueOrDefault(new(before, tokens.ToArray()));

    /// <summary>Says what stands, or will stand, in a page. Where another holds the same already, that one is returned.</summary>
    public CachePage Enter(CachePage page, CachePage? before, ReadOnlySpan<int> tokens)
    {
        var text = new PageText(before, tokens.ToArray());
        if (known.TryGetValue(text, out var other)) return other;
        page.Text = text;
        known.Add(text, page);
        return page;
    }

    public void Hold(CachePage page)
    {
        if (page.Holders++ == 0) kept.Remove(page.Place);
    }

    public void Drop(CachePage page)
    {
        if (--page.Holders > 0) return;
        if (page.Text is null) free.Push(page);
        else kept.AddLast(page.Place);
    }

    /// <summary>Nothing is to be found any more. No page may be held.</summary>
    public void Forget()
    {
        while (kept.Count > 0) free.Push(Oldest());
    }

    public void Dispose()
    {
        foreach (var page in owned) NativeMemory.AlignedFree((void*)page.Address);
        owned.Clear();
        free.Clear();
        kept.Clear();
        known.Clear();
    }

    private CachePage New()
    {
        var address = NativeMemory.AlignedAlloc((nuint)Shape.Bytes, 64);
        NativeMemory.Clear(address, (nuint)Shape.Bytes);
        var page = new CachePage((nint)address);
        owned.Add(page);
        Peak = Math.Max(Peak, owned.Count);
        return page;
    }

    private CachePage Oldest()
    {
        var page = kept.First!.Value;
        kept.RemoveFirst();
        known.Remove(page.Text!.Value);
        page.Text = null;
        return page;
    }
}
