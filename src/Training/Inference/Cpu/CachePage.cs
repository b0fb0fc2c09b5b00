namespace Gradus.Training.Inference.Cpu;

/// <summary>Memory for 16 positions of a sequence, and what stands there.</summary>
internal sealed class CachePage
{
    public CachePage(nint address)
    {
        Address = address;
        Place = new(this);
    }

    public nint Address { get; }

    /// <summary>Slots that read it. A page without any is free, or kept for a sequence that begins alike.</summary>
    public int Holders { get; set; }

    /// <summary>What stands there, once it is whole and others may find it.</summary>
    public PageText? Text { get; set; }

    /// <summary>0: its positions are computed. Else the round of the next prefill in which they will be.</summary>
    public int Round { get; set; }

    /// <summary>Its place among the pages that are kept.</summary>
    public LinkedListNode<CachePage> Place { get; }
}

/// <summary>The tokens of a page, and the page before it: together all that its keys and values depend on.</summary>
/// <param name="Before">Null for a sequence's first page.</param>
/// <param name="Tokens">16 token ids.</param>
internal readonly record struct PageText(CachePage? Before, int[] Tokens)
{
    public bool Equals(PageText other) => Before == other.Before && Tokens.AsSpan().SequenceEqual(other.Tokens);

    public override int GetHashCode()
    {
        var hash = new HashCode();
        hash.Add(Before);
        foreach (var token in Tokens) hash.Add(token);
        return hash.ToHashCode();
    }
}
