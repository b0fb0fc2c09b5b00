namespace Gradus.Training.Lora;

/// <summary>Puts back what a scope changed, at its end.</summary>
internal sealed class Restoring(Action restore) : IDisposable
{
    public void Dispose() => restore();
}
