namespace Gradus.Training.Stages;

/// <summary>Runs one attempt of one stage on the calling thread, which owns the model until it returns.</summary>
public static class StageRunner
{
    /// <exception cref="InvalidInputException">The options, a row or a model cannot be used.</exception>
    /// <exception cref="StageStoppedException">The stage saved its state and left, as the journal asked.</exception>
    /// <exception cref="LeaseLostException">Another attempt owns the job.</exception>
    /// <exception cref="OperationCanceledException">The token was cancelled; nothing was saved.</exception>
    public static StageResult Run(StageRequest request, IRunJournal journal, ICatalog catalog, CancellationToken cancellationToken)
    {
        var options = StageOptions.Parse(request.Stage, request.Options);
        cancellationToken.ThrowIfCancellationRequested();
        return options switch
        {
            _ => throw new NotSupportedException($"The stage {request.Stage} is not written yet."),
        };
    }
}
