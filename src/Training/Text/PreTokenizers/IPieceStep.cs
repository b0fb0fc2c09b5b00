namespace Gradus.Training.Text.PreTokenizers;

/// <summary>One step of a text on its way to ids: a pre-tokenizer hands pieces on to the step after it, the model ends the way. Steps are shared by threads.</summary>
internal interface IPieceStep
{
    /// <summary>Takes a piece, which is not empty, and adds its ids.</summary>
    /// <param name="first">The piece begins where the whole text begins.</param>
    void Take(ReadOnlySpan<char> piece, bool first, List<int> ids);
}
